//! Binds what a plan needs and is not there yet: all of it, or nothing.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use socket2::SockRef;
use tracing::{info, warn};

use super::{listening::ListenError, plan::Plan, socket, udp};

/// Sockets that are there, by the address asked for.
pub(super) type Held<'a> = BTreeMap<SocketAddr, SockRef<'a>>;

/// How sockets of a kind are made.
pub(super) struct Binding<S> {
    listen: fn(SocketAddr) -> io::Result<S>,
    /// Where others are in the way.
    beside: fn(SocketAddr, &[&SockRef<'_>]) -> io::Result<S>,
}

/// Of streams.
pub(super) const STREAMS: Binding<TcpListener> =
    Binding { listen: socket::listen, beside: socket::listen_beside };
/// Of datagrams.
pub(super) const DATAGRAMS: Binding<UdpSocket> =
    Binding { listen: udp::listen, beside: udp::listen_beside };

/// Binds the sockets of `plan` that are not held, also beside one that is in the way and
/// goes anyway (`:22` becomes `192.0.2.1:22`).
pub(super) fn bind_missing<S>(
    plan: &Plan,
    held: &Held<'_>,
    binding: &Binding<S>,
) -> Result<Vec<(SocketAddr, S)>, ListenError> {
    let mut bound = Vec::new();
    for (address, _) in plan.sockets() {
        if held.contains_key(&address) {
            continue;
        }
        match bind(address, plan, held, binding) {
            Ok(socket) => bound.push((address, socket)),
            Err(error) if plan.is_optional(address) && socket::is_without_ipv6(&error) => {
                info!(%address, "this host has no IPv6: IPv4 alone is served");
            }
            Err(error) if plan.only_redirects(address) => {
                warn!(%address, %error, "http:// is not redirected to https:// here");
            }
            Err(source) => return Err(plan.refused(address, source)),
        }
    }
    Ok(bound)
}

fn bind<S>(
    address: SocketAddr,
    plan: &Plan,
    held: &Held<'_>,
    binding: &Binding<S>,
) -> io::Result<S> {
    match (binding.listen)(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let yields = |other| plan.replaces(other) && socket::overlap(address, other);
            let in_the_way: Vec<_> =
                held.iter().filter(|(other, _)| yields(**other)).map(|(_, s)| s).collect();
            if in_the_way.is_empty() {
                return Err(error);
            }
            (binding.beside)(address, &in_the_way)
        }
        result => result,
    }
}
