//! A steady load: clients that make a connection at a time each, ask and hear the answer.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use socket2::{Domain, Socket, Type};

use crate::{
    lab::{self, Lab},
    scenario::RELAYED,
    wait::{SOON, holds},
};

/// Connections a second, over all clients.
const RATE: u32 = 200;
/// So many may wait at a time without anybody being late: a third of a second of them.
const CLIENTS: u32 = 64;
/// Of the time that a client was kept waiting, so much does it make up for.
const ARREARS: Duration = Duration::from_secs(1);
/// Bytes each way of a connection.
pub const SHORT: u64 = 2_000;
/// What a client does who fails before there is a connection.
const CONNECTING: &str = "connecting";
/// How long who has connected waits for an answer: a start takes seconds, where this
/// machine has much else to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// How the load goes.
#[derive(Debug, Default)]
pub struct Load {
    /// It is over.
    pub ended: AtomicBool,
    /// Short connections that were served.
    pub made: AtomicU64,
    /// Milliseconds that the slowest of them took.
    longest: AtomicU64,
    /// The clients' ports of those that were made, where they may be cut: where the daemon is
    /// killed, and nowhere else.
    pub ports: Option<Mutex<Vec<u16>>>,
}

impl Load {
    /// A load that may be cut.
    pub fn that_may_be_cut() -> Self {
        Self { ports: Some(Mutex::default()), ..Self::default() }
    }

    fn note(&self, port: u16) {
        if let Some(ports) = &self.ports {
            ports.lock().unwrap_or_else(PoisonError::into_inner).push(port);
        }
    }

    /// Waits until so many more connections were made.
    pub fn goes_on(&self, more: u64) -> Result<()> {
        let target = self.made.load(Ordering::Relaxed) + more;
        let there = holds(PATIENCE, || self.made.load(Ordering::Relaxed) >= target);
        ensure!(there, "the load has come to a halt");
        Ok(())
    }
}

/// Asks at the rate of one of the clients until `ended`.
fn client(number: u32, load: &Load) -> Result<()> {
    let interval = Duration::from_secs(1) * CLIENTS / RATE;
    let mut due = Instant::now() + interval * number / CLIENTS;
    while !load.ended.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let since = Instant::now();
        // Who was kept waiting makes up for it, but not so that it would be another load.
        due = (due + interval).max(since.checked_sub(ARREARS).unwrap_or(since));
        let asked = ask(|port| load.note(port));
        if load.ports.is_some() && asked.as_ref().is_err_and(is_cut) {
            continue;
        }
        asked.with_context(|| format!("client {number}"))?;
        let took = u64::try_from(since.elapsed().as_millis())?;
        load.longest.fetch_max(took, Ordering::Relaxed);
        load.made.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Has that load go on while `main` runs, beside `others`; how it went.
pub fn under(
    load: Load,
    lab: &Lab,
    others: impl FnOnce(&Load) -> Result<()> + Send,
    main: impl FnOnce(&Load) -> Result<()>,
) -> Result<Load> {
    thread::scope(|scope| {
        let load = &load;
        let others = scope.spawn(move || others(load));
        let client = |number| move || lab.clients.within(|| client(number, load))?;
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(client(number))).collect();
        let result = main(load);
        load.ended.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        others.join().map_err(|_| anyhow!("who is denied panicked"))??;
        result
    })?;
    let [made, longest] = [&load.made, &load.longest].map(|count| count.load(Ordering::Relaxed));
    println!("{made} short connections, of which the slowest took {longest} ms");
    Ok(load)
}

/// One request and its answer, on a connection of its own; `connected` is told the client's
/// port. Called within the clients' namespace.
fn ask(connected: impl FnOnce(u16)) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(lab::DE4, 0).into())?;
    socket
        .connect_timeout(&SocketAddr::new(lab::SERVER4, RELAYED).into(), SOON)
        .context(CONNECTING)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = TcpStream::from(socket);
    connected(stream.local_addr()?.port());
    let request = vec![b'x'; usize::try_from(SHORT)?];
    stream.write_all(&request).context("asking")?;
    let mut answer = vec![0; request.len()];
    stream.read_exact(&mut answer).context("hearing the answer")?;
    ensure!(answer == request, "another answer");
    Ok(())
}

/// Whether a connection was made, and ended by the other side.
fn is_cut(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let ended = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::UnexpectedEof];
    kind.is_some_and(|kind| ended.contains(&kind)) && error.to_string() != CONNECTING
}
