//! A relay with a gate and a journal that tests can look into.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use proxy_common::{reason::Reason, verdict::Judgement};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    config::{
        Access, Denial, Forwarding, Listen, ListenAddress, Mode, ProxyProtocol, Route, Service,
        Target, WebTarget,
    },
    record::CloseReason,
    relay::{
        Bytes, Client, Ended, Examination, Fate, Gate, Guest, Host, Journal, Limits, ListenError,
        Listeners, Lookout, Opened, Outcome,
    },
};

/// Longer than anything here takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
pub(super) const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Another address that loopback clients can have.
pub(super) const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Denies the addresses in the set, some at one service alone.
#[derive(Default)]
pub(super) struct Door {
    denied: Mutex<HashSet<(Option<&'static str>, IpAddr)>>,
    judged: AtomicUsize,
    asked: Notify,
}

impl Door {
    pub(super) fn deny(&self, client: IpAddr) {
        self.denied.lock().insert((None, client));
    }

    pub(super) fn deny_at(&self, service: &'static str, client: IpAddr) {
        self.denied.lock().insert((Some(service), client));
    }

    /// Waits for so many clients to have been judged.
    pub(super) async fn judged(&self, count: usize) {
        wait(&self.asked, || self.judged.load(Relaxed) >= count).await;
    }
}

impl Gate for Door {
    fn judge(&self, service: &str, client: Client) -> Judgement {
        let client = client.address;
        let denied = self.denied.lock();
        let matches = |(at, who): &(Option<&str>, IpAddr)| {
            *who == client && at.is_none_or(|at| at == service)
        };
        let denied = denied.iter().any(matches).then_some(Reason::IpRestricted);
        self.judged.fetch_add(1, Relaxed);
        self.asked.notify_waiters();
        Judgement { denied, observed: Some(Reason::GeoUnavailable), country_exempt: true }
    }
}

#[derive(Default)]
pub(super) struct Notes {
    opened: AtomicUsize,
    ended: Mutex<Vec<Ended>>,
    /// `PORT up` and `PORT down`.
    targets: Mutex<Vec<String>>,
    refused: AtomicU64,
    changed: Notify,
}

impl Journal for Notes {
    fn opened(&self, _: &Opened) {
        self.opened.fetch_add(1, Relaxed);
        self.changed.notify_waiters();
    }

    fn ended(&self, session: Ended) {
        self.ended.lock().push(session);
        self.changed.notify_waiters();
    }

    fn refused(&self, _: &Arc<Service>, _: Reason, attempts: u64) {
        self.refused.fetch_add(attempts, Relaxed);
        self.changed.notify_waiters();
    }
}

impl Lookout for Notes {
    fn target_down(&self, _: &str, target: &Target, error: &str) {
        assert!(!error.is_empty());
        self.target(target, "down");
    }

    fn target_up(&self, _: &str, target: &Target) {
        self.target(target, "up");
    }
}

impl Notes {
    fn target(&self, target: &Target, word: &str) {
        let text = target.to_string();
        let port = text.rsplit(':').next().unwrap_or_default();
        self.targets.lock().push(format!("{port} {word}"));
        self.changed.notify_waiters();
    }

    pub(super) fn ended_so_far(&self) -> Vec<Ended> {
        self.ended.lock().clone()
    }

    /// Clients that were turned away and told of by their number.
    pub(super) fn refused_so_far(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    async fn wait(&self, done: impl Fn() -> bool) {
        wait(&self.changed, done).await;
    }
}

/// Waits for what `changed` tells of.
async fn wait(changed: &Notify, done: impl Fn() -> bool) {
    let waiting = async {
        loop {
            let changed = changed.notified();
            if done() {
                return;
            }
            changed.await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("too little was heard");
}

/// Reads no requests.
struct Nobody;

impl Host for Nobody {
    fn serve(&self, _: Guest) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {})
    }

    fn examination(&self, _: &Service, _: &Route, _: &WebTarget) -> Option<Examination> {
        None
    }
}

pub(super) struct Relay {
    pub(super) listeners: Listeners,
    pub(super) door: Arc<Door>,
    pub(super) notes: Arc<Notes>,
}

impl Listeners {
    /// Publishes exactly these.
    pub(in crate::relay) async fn apply(
        &self,
        services: &[Arc<Service>],
    ) -> Result<(), ListenError> {
        self.prepare(services).await?.commit().await;
        Ok(())
    }
}

/// So many sessions and pipes, and as much patience as a test has.
pub(super) fn limits(sessions: usize, pipes: usize) -> Limits {
    Limits { sessions, pipes, patience: PATIENCE }
}

impl Relay {
    pub(super) fn new() -> Self {
        Self::with(limits(100, 4))
    }

    pub(super) fn with(limits: Limits) -> Self {
        let (door, notes) = (Arc::<Door>::default(), Arc::<Notes>::default());
        let witnesses = (Arc::clone(&notes) as _, Arc::clone(&notes) as _);
        let listeners = Listeners::new(Arc::clone(&door) as _, witnesses, Arc::new(Nobody), limits);
        let listeners = listeners.expect("threads");
        Self { listeners, door, notes }
    }

    /// Publishes one service. Gives where it is reached.
    pub(super) async fn publish(&self, service: Service) -> SocketAddr {
        let name = service.name.clone();
        self.listeners.apply(&[Arc::new(service)]).await.unwrap();
        self.address(&name).await
    }

    pub(super) async fn address(&self, name: &str) -> SocketAddr {
        let addresses = self.listeners.addresses().await;
        addresses.iter().find(|(_, owner)| owner == name).unwrap().0
    }

    /// Waits for so many sessions to have been opened.
    pub(super) async fn opened(&self, count: usize) {
        self.notes.wait(|| self.notes.opened.load(Relaxed) >= count).await;
    }

    /// Waits for so many connections to have been reported.
    pub(super) async fn ended(&self, count: usize) {
        self.notes.wait(|| self.notes.ended.lock().len() >= count).await;
    }

    /// Waits for so many changes of targets; all that were told.
    pub(super) async fn target_changes(&self, count: usize) -> Vec<String> {
        self.notes.wait(|| self.notes.targets.lock().len() >= count).await;
        self.notes.targets.lock().clone()
    }

    /// Waits for so many clients to have been turned away, or served, however that was
    /// told.
    pub(super) async fn told(&self, count: u64) {
        let so_far = || self.notes.ended.lock().len() as u64 + self.notes.refused_so_far();
        self.notes.wait(|| so_far() >= count).await;
    }

    /// The first report.
    pub(super) async fn first_ended(&self) -> Ended {
        self.ended(1).await;
        self.notes.ended_so_far().remove(0)
    }

    /// Shuts the relay down and gives the only report it made.
    pub(super) async fn only_ended(self) -> Ended {
        self.first_ended().await;
        self.listeners.drain(Duration::ZERO).await;
        let mut all = self.notes.ended_so_far();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

impl Listeners {
    /// As [`Self::drain_until`], for `grace`.
    pub(crate) async fn drain(&self, grace: Duration) {
        self.drain_until(sleep(grace)).await;
    }
}

/// A service on a free port of 127.0.0.1.
pub(super) fn service(name: &str, target: SocketAddr) -> Service {
    Service {
        name: name.to_owned(),
        domain: None,
        listen: vec![Listen { address: ListenAddress::One(LOCALHOST), port: 0 }],
        destination: Target::Address(target).into(),
        access: Access::OPEN,
        deny: Denial::Drop,
        connect_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        max_connections: NonZeroU32::new(100).unwrap(),
        proxy_protocol: ProxyProtocol::default(),
        forwarding: Forwarding::default(),
        mode: Mode::Tcp,
    }
}

/// A target that does nothing by itself.
pub(super) async fn target() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A target that sends everything back, after its name.
pub(super) async fn echo(greeting: &'static [u8]) -> SocketAddr {
    let (listener, address) = target().await;
    greet(listener, greeting);
    address
}

/// Has a listener send everything back, after its name, until the task is aborted.
pub(super) fn greet(listener: TcpListener, greeting: &'static [u8]) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                write.write_all(greeting).await?;
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    })
}

/// Connects from a certain address.
pub(super) async fn connect_from(client: IpAddr, service: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((client, 0).into()).unwrap();
    socket.connect(service).await.unwrap()
}

/// Connects through the relay to a target that is not spoken to yet.
pub(super) async fn connect_through(
    service: SocketAddr,
    target: &TcpListener,
) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(service).await.unwrap();
    let (accepted, _) = timeout(PATIENCE, target.accept()).await.expect("no dial").unwrap();
    (client, accepted)
}

/// Sends `text` and reads it back.
pub(super) async fn assert_echoes(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    assert_reads(stream, text).await;
}

pub(super) async fn assert_reads(stream: &mut TcpStream, text: &[u8]) {
    let mut answer = vec![0; text.len()];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("no bytes").unwrap();
    assert_eq!(answer, text);
}

/// Waits for an orderly end of the stream.
pub(super) async fn assert_fin(stream: &mut TcpStream) {
    let read = timeout(PATIENCE, stream.read(&mut [0])).await.expect("no FIN");
    assert_eq!(read.unwrap(), 0);
}

/// Waits for RST, with nothing before it.
pub(super) async fn assert_reset(stream: &mut TcpStream) {
    let read = timeout(PATIENCE, stream.read(&mut [0])).await.expect("no RST");
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

/// Connects and is reset, which may be heard with the connection already.
pub(super) async fn assert_turned_away(client: IpAddr, service: SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((client, 0).into()).unwrap();
    match socket.connect(service).await {
        Ok(mut stream) => {
            // What a client says at once makes no difference.
            let _ = stream.write_all(b"let me in").await;
            assert_reset(&mut stream).await;
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

pub(super) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Asserts that the session was served, and how it ended.
pub(super) fn assert_served(ended: &Ended, by: SocketAddr, up: u64, down: u64, why: CloseReason) {
    let Outcome::Admitted { admission, fate } = &ended.outcome else {
        panic!("not admitted: {ended:?}");
    };
    assert_eq!(admission.observed, Some(Reason::GeoUnavailable));
    assert!(admission.country_exempt);
    let Fate::Served { target, bytes, close_reason, .. } = fate else {
        panic!("not served: {ended:?}");
    };
    assert_eq!((*target, *bytes, *close_reason), (by, Bytes { up, down }, why));
    assert!(ended.started <= ended.ended);
}
