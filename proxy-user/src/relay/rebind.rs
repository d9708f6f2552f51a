//! Binds what a plan needs and is not there yet: all of it, or nothing.

use std::{collections::BTreeMap, io, net::SocketAddr};

use tracing::info;

use super::{
    listening::{Bound, ListenError, Listening},
    plan::Plan,
    socket,
    workers::Runtimes,
};

pub(super) type Sockets = BTreeMap<SocketAddr, Listening>;

/// Binds the sockets of `plan` that `sockets` lacks, also beside one that is in the
/// way and goes anyway (`:22` becomes `192.0.2.1:22`).
pub(super) fn bind_missing(
    plan: &Plan,
    sockets: &Sockets,
    runtimes: &Runtimes,
) -> Result<Vec<(SocketAddr, Bound)>, ListenError> {
    let mut bound = Vec::new();
    for (address, services) in plan.sockets() {
        if sockets.contains_key(&address) {
            continue;
        }
        match bind(address, plan, sockets, runtimes) {
            Ok(socket) => bound.push((address, socket)),
            Err(error) if plan.is_optional(address) && socket::is_without_ipv6(&error) => {
                info!(%address, "this host has no IPv6: IPv4 alone is served");
            }
            Err(source) => {
                let service = services.first().cloned().unwrap_or_default();
                return Err(ListenError { service, address, source });
            }
        }
    }
    Ok(bound)
}

fn bind(
    address: SocketAddr,
    plan: &Plan,
    sockets: &Sockets,
    runtimes: &Runtimes,
) -> io::Result<Bound> {
    match Bound::new(address, runtimes) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let yields = |other| plan.replaces(other) && socket::overlap(address, other);
            let in_the_way: Vec<_> =
                sockets.iter().filter(|(other, _)| yields(**other)).map(|(_, s)| s).collect();
            if in_the_way.is_empty() {
                return Err(error);
            }
            Bound::beside(&in_the_way, address, runtimes)
        }
        result => result,
    }
}
