//! Sockets of datagrams, and what is asked of them.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::AsFd,
};

use nix::sys::socket::{
    setsockopt,
    sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo, UdpGroSegment},
};
use quinn_udp::{UdpSockRef, UdpSocketState};
use rustix::net::sockopt;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::relay::socket::share_port;

/// What a listening socket holds of all its clients' datagrams and of answers to them,
/// bytes.
const LISTENER_BUFFER: usize = 4 << 20;
/// What a session's socket holds, bytes.
const SESSION_BUFFER: usize = 1 << 20;

/// The calls of `quinn-udp`. It sets options on the socket that it is made for, against
/// fragments among others; they hold for that socket alone, which is gone when this
/// returns, and the calls work on any.
pub(super) fn io() -> io::Result<UdpSocketState> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    UdpSocketState::new(UdpSockRef::from(&socket))
}

/// Listens on `address`, which need not be there yet. An IPv6 socket takes IPv6 alone.
/// Whatever is in the way is an error.
pub(in crate::relay) fn listen(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = unbound(address)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Listens on `address` though `others` of this process are in the way.
pub(in crate::relay) fn listen_beside(
    address: SocketAddr,
    others: &[&SockRef<'_>],
) -> io::Result<UdpSocket> {
    let socket = unbound(address)?;
    share_port(&socket, others, || socket.bind(&address.into()))?;
    Ok(socket.into())
}

fn unbound(address: SocketAddr) -> io::Result<Socket> {
    let socket = new(address)?;
    match address {
        SocketAddr::V4(_) => {
            socket.set_freebind_v4(true)?;
            setsockopt(&socket, Ipv4PacketInfo, &true)?;
        }
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
            setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
        }
    }
    enlarge(&socket, LISTENER_BUFFER);
    Ok(socket)
}

/// A socket that takes datagrams of `target` alone, and hears from ICMP that nobody
/// listens there.
pub(super) fn connect(target: SocketAddr) -> io::Result<UdpSocket> {
    let socket = new(target)?;
    enlarge(&socket, SESSION_BUFFER);
    socket.connect(&target.into())?;
    let socket = UdpSocket::from(socket);
    if socket.local_addr()? == target {
        // The free port that it was given is the target's own: it would hear itself.
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(socket)
}

fn new(peer: SocketAddr) -> io::Result<Socket> {
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(peer), kind, Some(Protocol::UDP))?;
    // Without it, datagrams come one by one.
    let _ = setsockopt(&socket, UdpGroSegment, &true);
    Ok(socket)
}

/// Beyond `net.core.rmem_max` and `wmem_max` where that is allowed, else up to them.
fn enlarge(socket: &Socket, bytes: usize) {
    let socket = socket.as_fd();
    if sockopt::set_socket_recv_buffer_size_force(socket, bytes).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(socket, bytes);
    }
    if sockopt::set_socket_send_buffer_size_force(socket, bytes).is_err() {
        let _ = sockopt::set_socket_send_buffer_size(socket, bytes);
    }
}
