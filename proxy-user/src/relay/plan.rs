//! Which sockets a set of services needs.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use super::{listening::ListenError, socket};
use crate::config::{Listen, ListenAddress, Mode, Service};

/// The relayed services, and the sockets that they need.
pub(super) struct Plan {
    services: BTreeMap<String, Arc<Service>>,
    sockets: BTreeMap<SocketAddr, Wanted>,
}

#[derive(Default)]
struct Wanted {
    /// More than one where they are told apart by the name asked for.
    services: Vec<String>,
    /// Services of another port, to which requests are redirected.
    redirects: Vec<String>,
    /// Half of "every local address": a host without IPv6 does without it.
    optional: bool,
}

/// The names of the services that are reached on a socket, and of those that it redirects
/// to.
#[derive(Clone, Copy, Default)]
pub(super) struct Reached<'a> {
    pub(super) services: &'a [String],
    pub(super) redirects: &'a [String],
}

/// Where browsers look first, and where most of them should not stay.
const HTTP: u16 = 80;
const HTTPS: u16 = 443;

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
                plan.want(*listen, &service.name, |wanted| &mut wanted.services);
            }
            let redirects = service.web().is_some_and(|web| web.tls && web.redirect_http);
            for listen in service.listen.iter().filter(|l| redirects && l.port == HTTPS) {
                let listen = Listen { port: HTTP, ..*listen };
                plan.want(listen, &service.name, |wanted| &mut wanted.redirects);
            }
        }
        plan
    }

    fn want(&mut self, listen: Listen, name: &str, of: impl Fn(&mut Wanted) -> &mut Vec<String>) {
        for address in socket::addresses(listen) {
            let wanted = self.sockets.entry(address).or_default();
            wanted.optional |= address.is_ipv6() && listen.address == ListenAddress::Any;
            let names = of(wanted);
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// Each address with what is reached there.
    pub(super) fn sockets(&self) -> impl Iterator<Item = (SocketAddr, Reached<'_>)> {
        self.sockets.iter().map(|(address, wanted)| (*address, wanted.reached()))
    }

    /// Whether something is to be reached there.
    pub(super) fn wants(&self, address: SocketAddr) -> bool {
        self.sockets.contains_key(&address)
    }

    /// What is reached there or, where the socket gives way, in its place.
    pub(super) fn heirs_of(&self, address: SocketAddr) -> Reached<'_> {
        let near = || self.sockets.iter().find(|(new, _)| socket::overlap(address, **new));
        let heirs = self.sockets.get(&address).or_else(|| near().map(|(_, wanted)| wanted));
        heirs.map(Wanted::reached).unwrap_or_default()
    }

    /// Whether something is reached there or, where the socket gives way, in its place.
    pub(super) fn has_heirs(&self, address: SocketAddr) -> bool {
        let Reached { services, redirects } = self.heirs_of(address);
        !services.is_empty() || !redirects.is_empty()
    }

    /// Whether nothing is reached there but redirects, which can be done without.
    pub(super) fn only_redirects(&self, address: SocketAddr) -> bool {
        self.sockets.get(&address).is_some_and(|wanted| wanted.services.is_empty())
    }

    /// That this address cannot be listened on, in words that name a service.
    pub(super) fn refused(&self, address: SocketAddr, source: io::Error) -> ListenError {
        let service = self.heirs_of(address).services.first().cloned().unwrap_or_default();
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

impl Wanted {
    fn reached(&self) -> Reached<'_> {
        Reached { services: &self.services, redirects: &self.redirects }
    }
}
