//! A client over HTTP/2 that sends whatever frames it is told to (RFC 9113), through
//! OpenSSL.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{ns::Namespace, wait::SOON};

/// Types of frames.
pub const DATA: u8 = 0;
/// Types of frames.
pub const HEADERS: u8 = 1;
/// Types of frames.
pub const RST_STREAM: u8 = 3;
/// Types of frames.
pub const SETTINGS: u8 = 4;
/// Types of frames.
pub const PING: u8 = 6;
/// Types of frames.
pub const GOAWAY: u8 = 7;
/// Types of frames.
pub const CONTINUATION: u8 = 9;
/// Flags of frames.
pub const ACK: u8 = 1;
/// Flags of frames.
pub const END_STREAM: u8 = 1;
/// Flags of frames.
pub const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `SETTINGS_HEADER_TABLE_SIZE` of 0: answers refer to no earlier ones.
const NO_TABLE: [u8; 6] = [0, 1, 0, 0, 0, 0];

/// One frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0: the connection.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// How a request ended, or began to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this status.
    Status(u16),
    /// The stream was reset.
    Reset,
    /// The connection was closed.
    Closed,
}

/// A connection, closed on drop.
#[derive(Debug)]
pub struct Http2 {
    openssl: Child,
    stdin: ChildStdin,
    frames: Receiver<Frame>,
}

impl Http2 {
    /// Connects to a server of that name, and says what each connection begins with.
    pub fn connect(namespace: &Namespace, to: SocketAddr, name: &str) -> Result<Self> {
        let mut command = namespace.bound_command("openssl");
        command.args(["s_client", "-quiet", "-no_ign_eof", "-alpn", "h2", "-servername", name]);
        command.args(["-connect", &to.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut openssl = command.spawn().context("openssl")?;
        let stdin = openssl.stdin.take().context("a pipe")?;
        let mut stdout = openssl.stdout.take().context("a pipe")?;
        let (sender, frames) = channel();
        thread::spawn(move || {
            while let Ok(frame) = read(&mut stdout) {
                if sender.send(frame).is_err() {
                    return;
                }
            }
        });
        let mut connection = Self { openssl, stdin, frames };
        connection.stdin.write_all(PREFACE)?;
        connection.send(SETTINGS, 0, 0, &NO_TABLE)?;
        Ok(connection)
    }

    /// Sends a frame.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.stdin.write_all(&frame(kind, flags, stream, payload))
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdin.write_all(bytes)
    }

    /// The next frame within `patience`, while the connection lasts.
    pub fn next(&mut self, patience: Duration) -> Result<Option<Frame>> {
        match self.frames.recv_timeout(patience) {
            Ok(frame) => Ok(Some(frame)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("no frame within {patience:?}"),
        }
    }

    /// Waits for the answer's head on a stream, or what comes in its place.
    pub fn ending(&mut self, stream: u32) -> Result<Ending> {
        let deadline = Instant::now() + SOON;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(frame) = self.next(left)? else { return Ok(Ending::Closed) };
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => {
                    // Who is closing does not hear it.
                    let _ = self.send(SETTINGS, ACK, 0, &[]);
                }
                GOAWAY => return Ok(Ending::Closed),
                RST_STREAM if frame.stream == stream => return Ok(Ending::Reset),
                HEADERS if frame.stream == stream => {
                    return status(&frame.payload).map(Ending::Status);
                }
                _ => {}
            }
        }
    }

    /// Waits until the connection is closed.
    pub fn closes(&mut self) -> Result<()> {
        let deadline = Instant::now() + SOON;
        while self.next(deadline.saturating_duration_since(Instant::now()))?.is_some() {}
        Ok(())
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.openssl.kill();
        let _ = self.openssl.wait();
    }
}

/// A frame's bytes (RFC 9113, 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Header lines, each spelt out (RFC 7541, 6.2.2).
pub fn fields(lines: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in lines {
        bytes.push(0);
        for text in [name, value] {
            length(&mut bytes, text.len());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// An integer with a prefix of seven bits (RFC 7541, 5.1).
fn length(bytes: &mut Vec<u8>, length: usize) {
    const PREFIX: usize = 127;
    let low = |value: usize| u8::try_from(value & 127).unwrap_or_default();
    if length < PREFIX {
        return bytes.push(low(length));
    }
    bytes.push(127);
    let mut rest = length - PREFIX;
    while rest > 127 {
        bytes.push(128 | low(rest));
        rest >>= 7;
    }
    bytes.push(low(rest));
}

fn read(from: &mut impl Read) -> io::Result<Frame> {
    let mut head = [0; 9];
    from.read_exact(&mut head)?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    from.read_exact(&mut payload)?;
    Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream) & !(1 << 31), payload })
}

/// The status that an answer's headers begin with.
fn status(block: &[u8]) -> Result<u16> {
    const NAMED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // The size of the table comes first where it changed (RFC 7541, 6.3).
    let skip = block.iter().take_while(|byte| **byte & 0xe0 == 0x20).count();
    match &block[skip..] {
        [named @ 0x88..=0x8e, ..] => Ok(NAMED[usize::from(named - 0x88)]),
        [0x08 | 0x18 | 0x48, length, rest @ ..] => {
            let digits = &rest[..usize::from(length & 127).min(rest.len())];
            let is_coded = length & 128 != 0;
            let text = if is_coded { decoded(digits) } else { digits.to_vec() };
            Ok(String::from_utf8_lossy(&text).parse()?)
        }
        other => bail!("no status: {other:?}"),
    }
}

/// Three digits in Huffman's code (RFC 7541, appendix B).
fn decoded(coded: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = coded.iter().flat_map(|b| (0..8).rev().map(move |n| b >> n & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |number, bit| number << 1 | bit);
    let mut at = 0;
    let mut digits = Vec::new();
    while digits.len() < 3 && at + 5 <= bits.len() {
        let short = number(&bits[at..at + 5]);
        if short <= 2 {
            digits.push(b'0' + short);
            at += 5;
        } else if let Some(long) = bits.get(at..at + 6) {
            digits.push(b'3' + number(long).wrapping_sub(0b01_1001));
            at += 6;
        } else {
            break;
        }
    }
    digits
}
