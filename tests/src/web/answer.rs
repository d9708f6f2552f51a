//! What a target answers, by the path that it is asked for.

use std::io::{self, Write};

use super::{read::Received, target::Gate};

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another request.
    Request,
    /// The end of the connection.
    End,
    /// Everything that comes, back.
    Echo,
}

/// Answers a request.
pub(super) fn answer(to: &mut impl Write, received: &Received, gate: &Gate) -> io::Result<Next> {
    let (path, query) = received.path().split_once('?').unwrap_or((received.path(), ""));
    let mut say = |text: &str| to.write_all(text.as_bytes());
    match path {
        "/close" => return Ok(Next::End),
        "/silent" => {
            gate.wait();
            say("HTTP/1.1 204 No Content\r\n\r\n")?;
        }
        "/broken" => {
            say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nnot all")?;
            return Ok(Next::End);
        }
        "/upgrade" => {
            say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Accept: as-it-is\r\n\r\n")?;
            return Ok(Next::Echo);
        }
        "/trailers" => {
            say("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n")?;
        }
        "/events" => {
            say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                 Transfer-Encoding: chunked\r\n\r\nd\r\ndata: first\n\n\r\n")?;
            gate.wait();
            say("e\r\ndata: second\n\n\r\n0\r\n\r\n")?;
        }
        "/to" => {
            say(&format!("HTTP/1.1 302 Found\r\nLocation: {query}\r\nContent-Length: 0\r\n\r\n"))?;
        }
        "/cookies" => say("HTTP/1.1 204 No Content\r\nSet-Cookie: __Host-weir=stolen; Path=/\r\n\
             Set-Cookie: a=1; Path=/\r\n\r\n")?,
        _ => {
            let status = path.strip_prefix("/status/").unwrap_or("200 OK");
            let head = received.head();
            let length = head.len();
            let body = if received.method() == "HEAD" { "" } else { &head };
            say(&format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            ))?;
        }
    }
    Ok(Next::Request)
}
