//! Which service a connection is for.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::{config::Mode, relay::published::Published};

/// The services that are reached on one socket.
pub(in crate::relay) struct Routes {
    services: Vec<Arc<Published>>,
    /// Where server names are read.
    names: Option<Names>,
    /// Peers that send a PROXY header; the same for all services of a socket.
    proxies: Vec<IpNet>,
}

#[derive(Default)]
struct Names {
    exact: HashMap<String, Arc<Published>>,
    /// By what follows the first label.
    wildcards: HashMap<String, Arc<Published>>,
    /// Takes what asks for none of them.
    fallback: Option<Arc<Published>>,
}

impl Routes {
    pub(in crate::relay) fn new(services: Vec<Arc<Published>>) -> Self {
        let first = services.first().map(|first| first.settings());
        let proxies = first.map(|first| first.proxy_protocol.accept_from.clone());
        let is_tls = |service: &Arc<Published>| service.settings().mode == Mode::Tls;
        let names = services.iter().any(is_tls).then(|| Names::of(&services));
        Self { services, names, proxies: proxies.unwrap_or_default() }
    }

    /// Every service.
    pub(in crate::relay) fn services(&self) -> &[Arc<Published>] {
        &self.services
    }

    /// The only service, where that is so.
    pub(in crate::relay) fn alone(&self) -> Option<&Arc<Published>> {
        if let [alone] = self.services.as_slice() { Some(alone) } else { None }
    }

    /// Whether the server name is to be read.
    pub(in crate::relay) fn reads_names(&self) -> bool {
        self.names.is_some()
    }

    /// Whether this peer must send a PROXY header.
    pub(in crate::relay) fn proxies_for(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|proxies| proxies.contains(&peer))
    }

    /// The service of that server name, in lower case.
    pub(in crate::relay) fn named(&self, name: Option<&str>) -> Option<&Arc<Published>> {
        let names = self.names.as_ref();
        let found = names.zip(name).and_then(|(names, name)| names.find(name));
        found.or_else(|| self.unnamed())
    }

    /// The service of those who ask for no name.
    pub(in crate::relay) fn unnamed(&self) -> Option<&Arc<Published>> {
        match &self.names {
            Some(names) => names.fallback.as_ref(),
            None => self.services.first(),
        }
    }
}

impl Names {
    fn of(services: &[Arc<Published>]) -> Self {
        let mut names = Self::default();
        for service in services {
            let settings = service.settings();
            let service = Arc::clone(service);
            match (settings.mode, settings.domain.as_deref()) {
                (Mode::Tls, Some(domain)) => match domain.strip_prefix("*.") {
                    Some(parent) => names.wildcards.insert(parent.to_owned(), service),
                    None => names.exact.insert(domain.to_owned(), service),
                },
                _ => names.fallback.replace(service),
            };
        }
        names
    }

    /// Exact names come first; a wildcard stands for one label.
    fn find(&self, name: &str) -> Option<&Arc<Published>> {
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard)
    }
}
