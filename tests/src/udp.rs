//! UDP in the lab: what Weir guards, where its relay sends, and clients.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{ns::Namespace, wait::SOON};

/// The largest datagram of IPv4.
pub const LARGEST: usize = 65_507;

/// How long a server waits before it looks whether it is to end.
const PAUSE: Duration = Duration::from_millis(100);

/// A server that sends every datagram back.
#[derive(Debug)]
pub struct Echo {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    received: AtomicU64,
    ended: AtomicBool,
}

impl Echo {
    /// Listens on a port of these addresses, each by a socket of its own: so the answer
    /// comes from where the client asked.
    pub fn start(namespace: &Namespace, addresses: &[IpAddr], port: u16) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut threads = Vec::new();
        for address in addresses {
            let address = SocketAddr::new(*address, port);
            let socket = namespace
                .within(|| UdpSocket::bind(address))?
                .with_context(|| format!("binding {address} in {}", namespace.name()))?;
            socket.set_read_timeout(Some(PAUSE))?;
            let shared = Arc::clone(&shared);
            threads.push(thread::spawn(move || shared.echo(&socket)));
        }
        Ok(Self { shared, threads })
    }

    /// Datagrams that it has received.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn echo(&self, socket: &UdpSocket) {
        let mut buffer = vec![0; LARGEST];
        while !self.ended.load(Ordering::Relaxed) {
            // Errors of earlier answers are told here: a client that went away.
            let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
            self.received.fetch_add(1, Ordering::Relaxed);
            let _ = socket.send_to(&buffer[..length], client);
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A socket at one of a namespace's addresses that is connected to `to`.
pub fn connect(from: (&Namespace, IpAddr), to: SocketAddr) -> Result<UdpSocket> {
    let (namespace, source) = from;
    connect_from((namespace, SocketAddr::new(source, 0)), to)
}

/// As [`connect`], from this port.
pub fn connect_from(from: (&Namespace, SocketAddr), to: SocketAddr) -> Result<UdpSocket> {
    let (namespace, source) = from;
    let socket = namespace.within(|| -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(source)?;
        socket.connect(to)?;
        Ok(socket)
    })?;
    let socket = socket.with_context(|| format!("from {source} to {to}"))?;
    socket.set_read_timeout(Some(SOON))?;
    Ok(socket)
}

/// Sends a datagram of so many bytes to an echo, and hears it back.
pub fn exchange(socket: &UdpSocket, length: usize) -> Result<()> {
    let datagram: Vec<u8> = (0..length).map(|at| (at % 251).to_le_bytes()[0]).collect();
    ensure!(socket.send(&datagram)? == length, "sent in part");
    let mut buffer = vec![0; LARGEST + 1];
    let heard = socket.recv(&mut buffer).with_context(|| format!("the echo of {length} bytes"))?;
    ensure!(buffer[..heard] == datagram, "{heard} of {length} bytes came back, or others");
    Ok(())
}

/// Sends a datagram, and gives why nothing came back within `limit`; `None` if anything
/// did.
pub fn refusal(socket: &UdpSocket, limit: Duration) -> Result<Option<ErrorKind>> {
    socket.set_read_timeout(Some(limit))?;
    let heard = socket.send(b"?").and_then(|_| socket.recv(&mut [0; 16]));
    match heard.map_err(|error| error.kind()) {
        Ok(_) => Ok(None),
        Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(Some(ErrorKind::TimedOut)),
        Err(other) => Ok(Some(other)),
    }
}
