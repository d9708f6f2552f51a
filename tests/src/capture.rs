//! A target over HTTP/1.1 that keeps each request byte for byte, and forgives nothing.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;

use crate::{lab::Lab, listening::Listening, ns::Namespace, weir::Weir};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The target. It ends on drop.
#[derive(Debug)]
pub struct Capture {
    listening: Listening,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Capture {
    /// Listens on a namespace's loopback.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let requests = Arc::default();
        let kept = Arc::clone(&requests);
        let listening = Listening::start(namespace, ([127, 0, 0, 1], 0).into(), move |stream| {
            let kept = Arc::clone(&kept);
            // Who breaks off has sent no request.
            move || drop(serve(stream, &kept))
        })?;
        Ok(Self { listening, requests })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// The whole requests that came since this was last asked, as they came.
    pub fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Vec<u8>>>) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        while let Some(length) = whole(&buffer) {
            let rest = buffer.split_off(length);
            let request = std::mem::replace(&mut buffer, rest);
            // Kept before it is answered: who has the answer finds the request.
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            stream.write_all(ANSWER)?;
        }
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            count => buffer.extend(&piece[..count]),
        }
    }
}

/// Where a service of [`services`] listens without TLS.
pub const PLAIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7080);
/// With it.
pub const TLS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7443);

/// Weir with a service before the target on [`PLAIN`], and one on [`TLS`].
pub fn services<'a>(lab: &'a Lab, target: &Capture) -> Result<Weir<'a>> {
    let service = |name: &str, to: SocketAddr, tls: bool| {
        format!(
            "[service.{name}]\ndomain = 'app.test'\nlisten = {}\ntls = {tls}\n\
             target = 'http://{}'\n",
            to.port(),
            target.address()
        )
    };
    let tables = service("plain", PLAIN, false) + &service("app", TLS, true);
    Weir::start(&lab.server, "interfaces = ['wan']", &tables)
}

/// How long the first request of a buffer is, where all of it is there.
fn whole(buffer: &[u8]) -> Option<usize> {
    let head = find(buffer, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    if text.contains("\r\ntransfer-encoding: chunked\r\n") {
        return chunks(&buffer[head..]).map(|body| head + body);
    }
    let length = text.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(Some(0), |length| length.parse().ok())?;
    (buffer.len() >= head + length).then_some(head + length)
}

/// How long a chunked body is, trailers and the empty line included.
fn chunks(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = body.get(at..)?;
        let line = find(rest, b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return find(&rest[line..], b"\r\n\r\n").map(|end| at + line + end + 4);
        }
        at += line + 2 + size + 2;
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
