//! Listening sockets, and what is asked of accepted ones.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    time::Duration,
};

use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

use super::contract::Client;
use crate::config::{Listen, ListenAddress};

/// More than any `somaxconn`, by which the kernel bounds it.
const BACKLOG: i32 = i32::MAX;

/// Drops SYNs. A listening socket's filter sees packets from the TCP header on.
const NO_SYNS: [SockFilter; 5] = [
    // The flags,
    SockFilter::new(0x30, 0, 0, 13),
    // of them SYN and ACK:
    SockFilter::new(0x54, 0, 0, 0x12),
    // SYN alone is dropped, all else taken whole.
    SockFilter::new(0x15, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// The sockets that an entry stands for. Every local address is two of them, so
/// that a host without IPv6 still has the first.
pub(super) fn addresses(listen: Listen) -> Vec<SocketAddr> {
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, listen.port));
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, listen.port));
    match listen.address {
        ListenAddress::Any => vec![v4, v6],
        ListenAddress::AnyV4 => vec![v4],
        ListenAddress::AnyV6 => vec![v6],
        ListenAddress::One(ip) => vec![SocketAddr::from((ip, listen.port))],
    }
}

/// Whether a connection could reach either of two different addresses.
pub(super) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// Listens on `address`, which need not be there yet. An IPv6 socket takes IPv6
/// alone. Whatever is in the way is an error.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = unbound(address)?;
    bind(&socket, address)?;
    Ok(socket.into())
}

/// Listens on `address` though `others` of this process are in the way, and takes no
/// connection until [`take_syns`]: should it be closed again, none is lost.
pub(super) fn listen_beside(
    address: SocketAddr,
    others: &[&SockRef<'_>],
) -> io::Result<TcpListener> {
    let socket = unbound(address)?;
    drop_syns(&socket)?;
    share_port(&socket, others, || bind(&socket, address))?;
    Ok(socket.into())
}

/// Lets `bind` give `socket` a port that `others` of this process have.
pub(super) fn share_port(
    socket: &Socket,
    others: &[&SockRef<'_>],
    bind: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    // Ports are shared for no longer than this takes: the kernel asks when it binds.
    let share = |yes| {
        others.iter().try_for_each(|other| other.set_reuse_port(yes))?;
        socket.set_reuse_port(yes)
    };
    let bound = share(true).and_then(|()| bind());
    share(false)?;
    bound
}

/// Makes a listening socket ignore who comes, who will come again in a second; who
/// was answered already may still connect.
pub(super) fn drop_syns(socket: &Socket) -> io::Result<()> {
    socket.attach_filter(&NO_SYNS)
}

/// The reverse of [`drop_syns`].
pub(super) fn take_syns(socket: &Socket) -> io::Result<()> {
    socket.detach_filter()
}

fn unbound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    Ok(socket)
}

fn bind(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)
}

/// Whether `error` says that this host has no IPv6 at all.
pub(super) fn is_without_ipv6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// The address that policies know a peer by.
pub(super) fn client_address(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}

/// Whom a gate is asked about, where that is the peer.
pub(super) fn client(peer: SocketAddr) -> Client {
    client_address(peer).into()
}

/// The next connection of a listening socket, not blocking as it is not.
pub(super) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let peer = peer.ok_or(io::ErrorKind::InvalidData)?;
    Ok((stream.into(), peer.try_into()?))
}

/// Makes closing `stream` send RST and discard what is unsent.
pub(super) fn reset_on_close(stream: &impl AsFd) {
    // It fails only for a socket that is no TCP socket.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
