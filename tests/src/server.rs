//! TCP servers inside a namespace: what Weir guards, and where its relay dials.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use socket2::SockRef;

use crate::{listening::Listening, ns::Namespace};

/// What a server does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Sends back what comes, until the client has ended.
    Echo,
    /// Reads to the end, then answers with the number of bytes (8, big endian).
    Tally,
    /// Sends so many bytes and ends, then reads what the client has to say.
    Source(u64),
    /// Answers the first byte with a reset.
    Reset,
    /// Says nothing and keeps the connection.
    Hold,
}

/// A server, and the end of all its connections on drop.
#[derive(Debug)]
pub struct Server {
    listening: Listening,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    accepted: AtomicU64,
    received: AtomicU64,
    /// By their number.
    open: Mutex<HashMap<u64, TcpStream>>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Listens in a namespace; port 0 is chosen by the host.
    pub fn start(namespace: &Namespace, address: SocketAddr, behaviour: Behaviour) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        let accept = move |stream| accept(stream, &state, behaviour);
        Ok(Self { listening: Listening::start(namespace, address, accept)?, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Connections that it has seen.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Bytes that it has read, over all connections.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.stop();
        for (_, stream) in self.shared.open().drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(
    stream: TcpStream,
    shared: &Arc<Shared>,
    behaviour: Behaviour,
) -> impl FnOnce() + Send + use<> {
    let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
    if let Ok(copy) = stream.try_clone()
        && !matches!(behaviour, Behaviour::Reset)
    {
        shared.open().insert(number, copy);
    }
    let shared = Arc::clone(shared);
    move || {
        // A client that goes away is not the server's failure.
        let _ = serve(stream, &shared, behaviour);
        shared.open().remove(&number);
    }
}

fn serve(mut stream: TcpStream, shared: &Shared, behaviour: Behaviour) -> io::Result<()> {
    let read = |stream: &mut TcpStream, buffer: &mut [u8]| {
        let count = stream.read(buffer)?;
        shared.received.fetch_add(count as u64, Ordering::Relaxed);
        io::Result::Ok(count)
    };
    let mut buffer = vec![0; 128 << 10];
    let mut total = 0u64;
    match behaviour {
        Behaviour::Echo => loop {
            match read(&mut stream, &mut buffer)? {
                0 => break,
                count => stream.write_all(&buffer[..count])?,
            }
        },
        Behaviour::Tally => {
            loop {
                match read(&mut stream, &mut buffer)? {
                    0 => break,
                    count => total += count as u64,
                }
            }
            stream.write_all(&total.to_be_bytes())?;
        }
        Behaviour::Source(bytes) => {
            io::copy(&mut io::repeat(b'x').take(bytes), &mut stream)?;
            stream.shutdown(Shutdown::Write)?;
            while read(&mut stream, &mut buffer)? > 0 {}
        }
        Behaviour::Reset => {
            read(&mut stream, &mut buffer[..1])?;
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            return Ok(());
        }
        Behaviour::Hold => while read(&mut stream, &mut buffer)? > 0 {},
    }
    stream.shutdown(Shutdown::Both)
}
