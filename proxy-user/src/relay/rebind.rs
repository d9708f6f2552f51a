//! Binds what a plan needs and is not there yet: all of it, or nothing.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use tokio::runtime::Handle;
use tracing::{error, info};

use super::{
    accept::Shared,
    listening::{Bound, ListenError, Listening},
    plan::Plan,
    published::Published,
    socket,
};

type Sockets = BTreeMap<SocketAddr, Listening>;

/// A socket that was closed early to make room, and whose it was.
type Yielded = Vec<(SocketAddr, Arc<Published>)>;

/// What was bound for a plan, and what had to go for it.
pub(super) struct Rebound {
    pub(super) bound: Vec<(SocketAddr, Bound)>,
    yielded: Yielded,
}

impl Rebound {
    /// Closes what was bound, and opens again what had to go.
    pub(super) fn undo(self, sockets: &mut Sockets, shared: &Arc<Shared>) {
        // These may hold what is to be restored.
        drop(self.bound);
        restore(self.yielded, sockets, shared);
    }
}

/// Binds the sockets of `plan` that `sockets` lacks. One that goes anyway is closed
/// first where it is in the way (`:22` becomes `192.0.2.1:22`), and comes back if
/// the whole fails.
pub(super) async fn bind_missing(
    plan: &Plan,
    sockets: &mut Sockets,
    shared: &Arc<Shared>,
) -> Result<Rebound, ListenError> {
    let mut bound = Vec::new();
    let mut yielded = Yielded::new();
    for (address, service) in plan.sockets() {
        if sockets.contains_key(&address) {
            continue;
        }
        match bind(address, plan, (sockets, &mut yielded), &shared.runtimes).await {
            Ok(socket) => bound.push((address, socket)),
            Err(error) if plan.is_optional(address) && socket::is_without_ipv6(&error) => {
                info!(%address, "this host has no IPv6: IPv4 alone is served");
            }
            Err(source) => {
                Rebound { bound, yielded }.undo(sockets, shared);
                return Err(ListenError { service: service.to_owned(), address, source });
            }
        }
    }
    Ok(Rebound { bound, yielded })
}

async fn bind(
    address: SocketAddr,
    plan: &Plan,
    (sockets, yielded): (&mut Sockets, &mut Yielded),
    runtimes: &[Handle],
) -> io::Result<Bound> {
    match Bound::new(address, runtimes) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let goes = |other: &SocketAddr| {
                other.port() == address.port() && plan.service_at(*other).is_none()
            };
            let in_the_way: Vec<_> = sockets.extract_if(.., |other, _| goes(other)).collect();
            if in_the_way.is_empty() {
                return Err(error);
            }
            for (other, socket) in in_the_way {
                yielded.push((other, socket.owner()));
                socket.stop().await;
            }
            Bound::new(address, runtimes)
        }
        result => result,
    }
}

fn restore(yielded: Yielded, sockets: &mut Sockets, shared: &Arc<Shared>) {
    for (address, owner) in yielded {
        match Bound::new(address, &shared.runtimes) {
            Ok(socket) => {
                sockets.insert(address, socket.start(owner, shared));
            }
            Err(error) => error!(%address, %error, "cannot listen again"),
        }
    }
}
