//! A TCP connection to a receiver that never answers. That its kernel has all bytes is known;
//! what it has not read when it goes is lost, and is sent again.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    thread,
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::datapath::unsent;

/// For a connection to be made, and for what is sent to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at whether all has arrived.
const LOOK: Duration = Duration::from_millis(5);
/// What a receiver may have in its kernel without having read it: more than Linux lets a
/// socket have by default (`net.ipv4.tcp_rmem`, 6 MiB).
const UNREAD: usize = 8 << 20;

/// The connection, and what was sent over it last.
pub(super) struct Stream {
    socket: TcpStream,
    /// The first record of each batch, and its bytes.
    sent: VecDeque<(Uuid, usize)>,
    bytes: usize,
}

impl Stream {
    pub(super) fn connect(address: &str) -> io::Result<Self> {
        let mut failed = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(socket) => {
                    socket.set_write_timeout(Some(PATIENCE))?;
                    return Ok(Self { socket, sent: VecDeque::new(), bytes: 0 });
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Sends what begins with that record; over when the other host has it.
    pub(super) fn send(&mut self, first: Uuid, bytes: &[u8]) -> io::Result<()> {
        self.sent.push_back((first, bytes.len()));
        self.bytes += bytes.len();
        while self.sent.front().is_some_and(|(_, oldest)| self.bytes - oldest >= UNREAD) {
            self.bytes -= self.sent.pop_front().map_or(0, |(_, oldest)| oldest);
        }
        self.is_open()?;
        self.socket.write_all(bytes)?;
        let end = Instant::now() + PATIENCE;
        while unsent(&self.socket)? > 0 {
            self.is_open()?;
            if Instant::now() > end {
                return Err(io::Error::new(ErrorKind::TimedOut, "the receiver takes nothing"));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// The first record that may be lost, now that the connection is.
    pub(super) fn lost_from(&self) -> Option<Uuid> {
        self.sent.front().map(|(first, _)| *first)
    }

    /// An error where the receiver has closed the connection, or reset it.
    fn is_open(&mut self) -> io::Result<()> {
        self.socket.set_nonblocking(true)?;
        let read = self.socket.read(&mut [0; 256]);
        self.socket.set_nonblocking(false)?;
        match read {
            Ok(0) => Err(io::Error::new(ErrorKind::ConnectionReset, "the receiver has closed it")),
            // What it says means nothing here.
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}
