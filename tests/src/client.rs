//! TCP clients of the lab.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use socket2::{Domain, SockRef, Socket, Type};

use crate::{ns::Namespace, wait::SOON};

/// Longest silence that a client bears.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects from one of a namespace's addresses.
pub fn connect(from: (&Namespace, IpAddr), to: SocketAddr) -> io::Result<TcpStream> {
    connect_within(from, to, SOON)
}

/// Connects from one of a namespace's addresses, or gives up after `limit`.
pub fn connect_within(
    from: (&Namespace, IpAddr),
    to: SocketAddr,
    limit: Duration,
) -> io::Result<TcpStream> {
    let (namespace, source) = from;
    let stream = namespace.within(|| dial(source, to, limit)).map_err(io::Error::other)??;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn dial(source: IpAddr, to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect_timeout(&to.into(), limit)?;
    Ok(socket.into())
}

/// How a refused client fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing answers.
    Silence,
    /// A reset, to the SYN or right after.
    Reset,
    /// An orderly end without a byte.
    End,
}

/// Tries to connect and to hear one byte, for `limit`; `None` if it was served.
pub fn refusal(
    from: (&Namespace, IpAddr),
    to: SocketAddr,
    limit: Duration,
) -> Result<Option<Refusal>> {
    let heard = connect_within(from, to, limit).and_then(|mut stream| {
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"?")?;
        read(&mut stream, &mut [0])
    });
    match heard.map_err(|error| error.kind()) {
        Ok(0) => Ok(Some(Refusal::End)),
        Ok(_) => Ok(None),
        Err(io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => Ok(Some(Refusal::Silence)),
        Err(
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe,
        ) => Ok(Some(Refusal::Reset)),
        Err(other) => Err(io::Error::from(other)).context("connecting"),
    }
}

/// Sends `bytes` and hears them back, on a connection to an echo.
pub fn exchange(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let mut sender = stream.try_clone()?;
    thread::scope(|scope| {
        let sending = scope.spawn(move || send(&mut sender, bytes));
        let received = discard(&mut stream.take(bytes))?;
        ensure!(received == bytes, "{received} of {bytes} bytes came back");
        sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        Ok(())
    })
}

/// Sends `bytes`, ends its half and reads the other's number of what it received.
pub fn upload(stream: &mut TcpStream, bytes: u64) -> Result<u64> {
    send(stream, bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut tally = [0; 8];
    stream.read_exact(&mut tally)?;
    Ok(u64::from_be_bytes(tally))
}

/// Sends `bytes`.
pub fn send(stream: &mut TcpStream, bytes: u64) -> io::Result<()> {
    let chunk = vec![b'x'; 128 << 10];
    let mut left = bytes;
    while left > 0 {
        let count = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
        stream.write_all(&chunk[..count])?;
        left -= count as u64;
    }
    Ok(())
}

/// Reads to the end; how much it was.
pub fn discard(from: &mut impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; 128 << 10];
    let mut total = 0;
    loop {
        match read(from, &mut buffer)? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}

/// One read. A machine that is paused interrupts those with a time limit (signal(7)).
fn read(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Ends a connection with a reset.
pub fn reset(stream: TcpStream) -> io::Result<()> {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    drop(stream);
    Ok(())
}
