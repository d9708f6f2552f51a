//! Connections that were of use, and wait for the next request.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread::{self, ScopedJoinHandle},
};

use anyhow::{Result, anyhow, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::{Value, json};
use weir_tests::{lab::SERVER4, tls, weir::Weir};

use super::{DOMAIN, PLAIN, Place, TLS};

const CONNECTIONS: usize = 5_000;
/// Who make them.
const CLIENTS: usize = 20;
/// So many come and go first: what the first clients cost is not theirs.
const FIRST: usize = 100;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Tls,
}

/// One of them.
enum Kept {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Plain, Self::Tls];

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
        }
    }

    pub(super) fn run(self, place: &Place<'_>, weir: &Weir<'_>) -> Result<Value> {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
        drop(self.open(place, FIRST)?);
        let before = weir.resident()?;
        let mut kept = self.open(place, CONNECTIONS)?;
        let after = weir.resident()?;
        let each = after.saturating_sub(before) / CONNECTIONS as u64;
        // They are still there.
        for connection in kept.iter_mut().step_by(50) {
            connection.ask()?;
        }
        println!("{CONNECTIONS} idle connections, {}: {each} bytes each", self.name());
        Ok(json!({
            "kind": self.name(),
            "connections": CONNECTIONS,
            "resident_before": before,
            "resident_after": after,
            "bytes_each": each,
        }))
    }

    /// Makes connections, and asks for something on each: some at a time, since the first
    /// are not to wait for the last for too long.
    fn open(self, place: &Place<'_>, count: usize) -> Result<Vec<Kept>> {
        let config = tls::trusting(&place.authority.certificate(), &[])?;
        let part = || (0..count / CLIENTS).map(|_| self.connect(&config)).collect();
        let parts: Vec<Result<Vec<Kept>>> = place.lab.clients.within(|| {
            thread::scope(|scope| {
                let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(part)).collect();
                let ended = clients.into_iter().map(ScopedJoinHandle::join);
                ended
                    .map(|part| part.unwrap_or_else(|_| Err(anyhow!("a client panicked"))))
                    .collect()
            })
        })?;
        Ok(parts.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn connect(self, config: &Arc<ClientConfig>) -> Result<Kept> {
        let port = if self == Self::Plain { PLAIN } else { TLS };
        let stream = TcpStream::connect(SocketAddr::new(SERVER4, port))?;
        let mut connection = match self {
            Self::Plain => Kept::Plain(stream),
            Self::Tls => Kept::Tls(Box::new(tls::speak(stream, DOMAIN, config)?)),
        };
        connection.ask()?;
        Ok(connection)
    }
}

impl Kept {
    /// One request, and its answer to the end.
    fn ask(&mut self) -> Result<()> {
        match self {
            Self::Plain(stream) => ask(stream),
            Self::Tls(stream) => ask(stream),
        }
    }
}

fn ask(stream: &mut (impl Read + Write)) -> Result<()> {
    write!(stream, "GET / HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n")?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    // A body of two zeros ends it.
    while !answer.ends_with(b"\r\n\r\n\0\0") {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the connection ended: {}", String::from_utf8_lossy(&answer));
        answer.extend(&buffer[..count]);
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    Ok(())
}
