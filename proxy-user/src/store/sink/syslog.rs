//! Syslog: over UDP (RFC 5426), TCP (RFC 6587, octets counted) or a local socket.

use std::{
    io::{self, ErrorKind, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket},
    os::unix::net::{UnixDatagram, UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use uuid::Uuid;

use super::{Outlet, message::Sender, stream::Stream};
use crate::{config::SyslogAddress, record::Record, store::StoreError};

/// For a local receiver to make room.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Syslog {
    address: SyslogAddress,
    /// As the configuration has it, for errors.
    shown: PathBuf,
    sender: Sender,
    open: Option<Socket>,
    lost_from: Option<Uuid>,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(Stream),
    Datagram(UnixDatagram),
    /// A message a line.
    Lines(UnixStream),
}

impl Syslog {
    pub(super) fn to(address: &SyslogAddress) -> Self {
        let shown = PathBuf::from(address.to_string());
        Self { address: address.clone(), shown, sender: Sender::new(), open: None, lost_from: None }
    }

    fn send(&mut self, records: &[Record]) -> io::Result<()> {
        let Some(first) = records.first() else { return Ok(()) };
        let messages = records.iter().map(|record| self.sender.message(record));
        let socket = match &mut self.open {
            Some(socket) => socket,
            closed => closed.insert(Socket::open(&self.address)?),
        };
        match socket {
            Socket::Udp(socket) => {
                for message in messages {
                    socket.send(&message)?;
                }
                // That nobody listens is told late.
                socket.take_error()?.map_or(Ok(()), Err)
            }
            Socket::Datagram(socket) => {
                messages.into_iter().try_for_each(|message| socket.send(&message).map(drop))
            }
            Socket::Lines(socket) => {
                let mut lines = Vec::new();
                for message in messages {
                    lines.extend(message);
                    lines.push(b'\n');
                }
                socket.write_all(&lines)
            }
            Socket::Tcp(stream) => {
                let mut bytes = Vec::new();
                for message in messages {
                    bytes.extend(format!("{} ", message.len()).into_bytes());
                    bytes.extend(message);
                }
                stream.send(first.id, &bytes)
            }
        }
    }
}

impl Outlet for Syslog {
    fn write(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let sent = self.send(records);
        if sent.is_err() {
            self.reopen();
        }
        sent.map_err(StoreError::io(&self.shown))
    }

    fn reopen(&mut self) {
        if let Some(Socket::Tcp(stream)) = self.open.take() {
            self.lost_from = self.lost_from.or(stream.lost_from());
        }
    }

    fn lost_from(&mut self) -> Option<Uuid> {
        self.lost_from.take()
    }
}

impl Socket {
    fn open(address: &SyslogAddress) -> io::Result<Self> {
        match address {
            SyslogAddress::Udp(place) => udp(place).map(Self::Udp),
            SyslogAddress::Tcp(place) => Stream::connect(place).map(Self::Tcp),
            SyslogAddress::Unix(path) => local(path),
        }
    }
}

fn udp(place: &str) -> io::Result<UdpSocket> {
    let none = || io::Error::new(ErrorKind::NotFound, "the name has no address");
    let address = place.to_socket_addrs()?.next().ok_or_else(none)?;
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    Ok(socket)
}

/// A socket of datagrams, as `/dev/log` is, or else of a stream.
fn local(path: &Path) -> io::Result<Socket> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    match socket.connect(path) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PROTOTYPE.raw_os_error()) => {
            let stream = UnixStream::connect(path)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Socket::Lines(stream))
        }
        connected => connected.map(|()| Socket::Datagram(socket)),
    }
}
