//! Which sockets a set of services needs.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use super::{listening::ListenError, socket};
use crate::config::{ListenAddress, Mode, Service};

/// The relayed services, and the sockets that they need.
pub(super) struct Plan {
    services: BTreeMap<String, Arc<Service>>,
    sockets: BTreeMap<SocketAddr, Wanted>,
}

struct Wanted {
    /// More than one where they are told apart by the server name asked for.
    services: Vec<String>,
    /// Half of "every local address": a host without IPv6 does without it.
    optional: bool,
}

impl Plan {
    /// Of the services of streams among these.
    pub(super) fn streams(services: &[Arc<Service>]) -> Self {
        Self::new(services.iter().filter(|service| service.mode != Mode::Udp))
    }

    /// Of the services of datagrams.
    pub(super) fn datagrams(services: &[Arc<Service>]) -> Self {
        Self::new(services.iter().filter(|service| service.mode == Mode::Udp))
    }

    fn new<'a>(services: impl Iterator<Item = &'a Arc<Service>>) -> Self {
        let mut plan = Self { services: BTreeMap::new(), sockets: BTreeMap::new() };
        for service in services.filter(|service| !service.is_guard()) {
            plan.services.insert(service.name.clone(), Arc::clone(service));
            for listen in &service.listen {
                for address in socket::addresses(*listen) {
                    let optional = address.is_ipv6() && listen.address == ListenAddress::Any;
                    let wanted = Wanted { services: Vec::new(), optional };
                    let wanted = plan.sockets.entry(address).or_insert(wanted);
                    if !wanted.services.contains(&service.name) {
                        wanted.services.push(service.name.clone());
                    }
                }
            }
        }
        plan
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// Each address with its services' names.
    pub(super) fn sockets(&self) -> impl Iterator<Item = (SocketAddr, &[String])> {
        self.sockets.iter().map(|(address, wanted)| (*address, wanted.services.as_slice()))
    }

    /// Whether something is to be reached there.
    pub(super) fn wants(&self, address: SocketAddr) -> bool {
        self.sockets.contains_key(&address)
    }

    /// The names of the services that are reached there or, where the socket gives way, in
    /// its place.
    pub(super) fn heirs_of(&self, address: SocketAddr) -> &[String] {
        let near = || self.sockets.iter().find(|(new, _)| socket::overlap(address, **new));
        let heirs = self.sockets.get(&address).or_else(|| near().map(|(_, wanted)| wanted));
        heirs.map_or(&[], |wanted| wanted.services.as_slice())
    }

    /// That this address cannot be listened on, in words that name a service.
    pub(super) fn refused(&self, address: SocketAddr, source: io::Error) -> ListenError {
        let service = self.heirs_of(address).first().cloned().unwrap_or_default();
        ListenError { service, address, source }
    }

    /// Whether a socket of that address goes, and others take connections in its place.
    pub(super) fn replaces(&self, address: SocketAddr) -> bool {
        !self.wants(address) && self.sockets.keys().any(|new| socket::overlap(address, *new))
    }

    /// Whether a host without IPv6 does without this socket.
    pub(super) fn is_optional(&self, address: SocketAddr) -> bool {
        self.sockets.get(&address).is_some_and(|wanted| wanted.optional)
    }
}
