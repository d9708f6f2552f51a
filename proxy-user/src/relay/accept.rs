//! The accept loop of one listening socket.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Instant,
};

use arc_swap::ArcSwap;
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::watch,
    task::yield_now,
    time::{Duration, sleep},
};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::{
    Admission, Ended, Fate, Opened, Outcome,
    contract::{Gate, Journal},
    copy::PipePool,
    intake::Intake,
    limits::{Budget, Permit},
    published::Published,
    sensor::Sensor,
    session::{Places, Session},
    socket,
    stats::Place,
    workers::{Home, Runtimes},
};
use crate::config::Service;

const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What all accept loops and sessions share.
pub(super) struct Shared {
    pub(super) gate: Arc<dyn Gate>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) budget: Arc<Budget>,
    pub(super) pipes: Arc<PipePool>,
    pub(super) intake: watch::Sender<Intake>,
    pub(super) sessions: TaskTracker,
    /// Of the workers, who end with the [`super::Listeners`].
    pub(super) runtimes: Runtimes,
}

/// Accepts until aborted. `owner` is whose connections they are; a reload may
/// change it.
pub(super) async fn accept(
    listener: Arc<AsyncFd<TcpListener>>,
    home: Home,
    owner: Arc<ArcSwap<Published>>,
    shared: Arc<Shared>,
) {
    let mut intake = shared.intake.subscribe();
    let mut pause = Pause::default();
    loop {
        match next(&listener, &mut intake).await {
            Ok((client, peer)) => {
                pause.over();
                if let Ok(service) = client.local_addr() {
                    receive(client, Ends { peer, service, home }, &owner.load(), &shared);
                }
                // Who is served already comes before the next who wants to be: a burst
                // of connections is no pause for the others.
                yield_now().await;
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => pause.take(&listener, &error).await,
        }
    }
}

/// The next connection, once connections are wanted.
async fn next(
    listener: &AsyncFd<TcpListener>,
    intake: &mut watch::Receiver<Intake>,
) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        // The sender outlives the loop, so waiting for it does not fail.
        let _ = intake.wait_for(|intake| *intake != Intake::Hold).await;
        tokio::select! {
            // What arrives from here on is for the policy to come.
            biased;
            _ = intake.wait_for(|intake| *intake == Intake::Hold) => {}
            accepted = listener.async_io(Interest::READABLE, socket::accept) => return accepted,
        }
    }
}

/// Both ends of an accepted connection, and who accepted it.
#[derive(Clone, Copy)]
struct Ends {
    peer: SocketAddr,
    service: SocketAddr,
    home: Home,
}

/// Judges an accepted connection, and starts its session or resets it.
fn receive(client: TcpStream, ends: Ends, owner: &Arc<Published>, shared: &Arc<Shared>) {
    let started = Instant::now();
    let service = owner.settings();
    let flow = socket::flow_key(ends.peer, ends.service);
    let turn_away = |outcome| {
        socket::reset_on_close(&client);
        let (service, ended) = (Arc::clone(&service), Instant::now());
        shared.journal.ended(Ended { flow, service, started, ended, outcome });
    };
    if *shared.intake.borrow() == Intake::Refuse {
        return turn_away(Outcome::Refused);
    }
    let address = socket::client_address(ends.peer);
    let entered = owner.enter(address);
    let judgement = shared.gate.judge(&service.name, address);
    if let Some(reason) = judgement.denied {
        owner.counters().deny(reason);
        return turn_away(Outcome::Denied(reason));
    }
    let admission =
        Admission { observed: judgement.observed, country_exempt: judgement.country_exempt };
    let Some((permit, place)) = seat(&service, owner, shared) else {
        return turn_away(Outcome::Admitted { admission, fate: Fate::ConnectionLimit });
    };
    let opened = Opened { flow, service: Arc::clone(&service), admission, started };
    let counters = Arc::clone(owner.counters());
    let sensor = Sensor::open(Arc::clone(&shared.journal), counters, opened);
    let pipes = Arc::clone(&shared.pipes);
    let runtime = shared.runtimes.least_busy(ends.home);
    let places = Places { _permit: permit, _service: place, _thread: runtime.enter() };
    let session = Session { client, service, pipes, entered, sensor, places };
    shared.sessions.spawn_on(session.run(), runtime.handle());
}

/// A place for one more session, where both limits leave one.
fn seat(service: &Service, owner: &Published, shared: &Shared) -> Option<(Permit, Place)> {
    let permit = shared.budget.take()?;
    let place = owner.counters().enter(service.max_connections.get())?;
    Some((permit, place))
}

/// Whether the next connection may well be accepted: see accept(2) on errors that
/// were already pending on the new socket.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::EPROTO
                | libc::EPERM
                | libc::EINTR
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ENOPROTOOPT
                | libc::ENONET
                | libc::EOPNOTSUPP
        )
    )
}

/// Waits ever longer while files or memory run short, and says so once.
#[derive(Default)]
struct Pause(Option<Duration>);

impl Pause {
    async fn take(&mut self, listener: &AsyncFd<TcpListener>, error: &io::Error) {
        if self.0.is_none() {
            let address = listener.get_ref().local_addr().ok();
            warn!(?address, %error, "cannot accept connections, trying again");
        }
        let pause = self.0.map_or(SHORTEST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.0 = Some(pause);
        sleep(pause).await;
    }

    fn over(&mut self) {
        if self.0.take().is_some() {
            info!("connections are accepted again");
        }
    }
}
