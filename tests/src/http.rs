//! Questions to Weir's control socket.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// What came with it.
    pub body: String,
}

/// Asks for a path through a Unix socket.
pub fn get(socket: &Path, path: &str) -> Result<Answer> {
    let mut stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // HTTP/1.0: the answer ends with the connection, and has no chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("GET {path}"))?;
    parse(&answer).with_context(|| format!("GET {path}: {answer:?}"))
}

/// Asks for JSON, and wants it.
pub fn get_json(socket: &Path, path: &str) -> Result<Value> {
    let Answer { status, body } = get(socket, path)?;
    ensure!(status == 200, "GET {path}: {status}: {body}");
    serde_json::from_str(&body).with_context(|| format!("GET {path}: {body}"))
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}
