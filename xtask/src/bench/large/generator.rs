//! A target that makes bodies up and throws them away.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

use anyhow::Result;
use weir_tests::{listening::Listening, ns::Namespace};

/// Bytes of a body.
pub(super) const LENGTH: u64 = 5 << 30;
/// The page of that length; every other is small.
pub(super) const PATH: &str = "/large";
/// How a body in chunks ends. Nobody sends anything but zeros in them.
const END: &[u8] = b"\r\n0\r\n\r\n";

/// The target, ended with this.
pub(super) struct Generator(
    #[expect(dead_code, reason = "it listens until it is dropped")] Listening,
);

impl Generator {
    pub(super) fn start(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        // Who breaks off is told by the client.
        let serve = |stream| move || drop(serve(&stream));
        Ok(Self(Listening::start(namespace, address, serve)?))
    }
}

fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(256 << 10, stream);
    loop {
        let Some(head) = head(&mut reader)? else { return Ok(()) };
        if head.contains("transfer-encoding: chunked\r\n") {
            discard(&mut reader)?;
        }
        let length = if head.starts_with(&format!("GET {PATH} ")) { LENGTH } else { 2 };
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
        let zeros = vec![0; 128 << 10];
        let mut left = length;
        while left > 0 {
            let count = usize::try_from(left).map_or(zeros.len(), |left| left.min(zeros.len()));
            stream.write_all(&zeros[..count])?;
            left -= count as u64;
        }
    }
}

/// A request's head; `None`: the connection ended.
fn head(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.take(1 << 16).read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

/// Reads a body to its end.
fn discard(reader: &mut impl Read) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    // As if a chunk had ended: an empty body is nothing but the end.
    let mut tail = b"\r\n".to_vec();
    while !tail.ends_with(END) {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        tail.extend(&buffer[count.saturating_sub(END.len())..count]);
        tail.drain(..tail.len().saturating_sub(END.len()));
    }
    Ok(())
}
