//! Which service a connection is for, or a request.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::{config::Mode, relay::published::Published};

/// The services that are reached on one socket.
#[derive(Default)]
pub(crate) struct Routes {
    services: Vec<Arc<Published>>,
    /// By the name that clients ask for.
    names: Names,
    /// Takes connections that ask for none of them.
    fallback: Option<Arc<Published>>,
    /// Whether connections are told apart by the name in their handshake.
    reads_names: bool,
    /// Services of other ports, to which requests are redirected.
    redirects: Names,
    web: Option<Web>,
    /// Peers that send a PROXY header; the same for all services of a socket, and for
    /// those that it only redirects to.
    proxies: Vec<IpNet>,
}

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Web {
    /// As they are.
    Plain,
    /// Within TLS.
    Tls,
}

/// Whom a connection is led to.
#[derive(Clone)]
pub(in crate::relay) enum Lead<'a> {
    /// A service whose payload is not read.
    Service(&'a Arc<Published>),
    /// Who reads requests.
    Web(Web),
}

#[derive(Default)]
struct Names {
    exact: HashMap<String, Arc<Published>>,
    /// By what follows the first label.
    wildcards: HashMap<String, Arc<Published>>,
}

impl Routes {
    /// `redirects`: services of another port that requests are redirected to.
    pub(in crate::relay) fn new(
        services: Vec<Arc<Published>>,
        redirects: &[Arc<Published>],
    ) -> Self {
        let first = services.first().or(redirects.first()).map(|first| first.settings());
        let proxies = first.map(|first| first.proxy_protocol.accept_from.clone());
        let mut routes = Self {
            redirects: Names::of(redirects),
            names: Names::of(&services),
            proxies: proxies.unwrap_or_default(),
            ..Self::default()
        };
        for service in &services {
            let settings = service.settings();
            match (settings.mode, settings.web()) {
                (Mode::Http, Some(web)) => {
                    routes.web = Some(if web.tls { Web::Tls } else { Web::Plain });
                }
                (Mode::Tls, _) => routes.reads_names = true,
                _ => routes.fallback = Some(Arc::clone(service)),
            }
        }
        routes.reads_names |= routes.web == Some(Web::Tls) && routes.fallback.is_some();
        if routes.web.is_none() && !redirects.is_empty() {
            routes.web = Some(Web::Plain);
        }
        Self { services, ..routes }
    }

    /// Every service.
    pub(in crate::relay) fn services(&self) -> &[Arc<Published>] {
        &self.services
    }

    /// The only service, where that is so and its payload is not read.
    pub(in crate::relay) fn alone(&self) -> Option<&Arc<Published>> {
        match self.services.as_slice() {
            [alone] if self.web.is_none() => Some(alone),
            _ => None,
        }
    }

    /// Whether the server name is to be read.
    pub(in crate::relay) fn reads_names(&self) -> bool {
        self.reads_names
    }

    /// Whether this peer must send a PROXY header.
    pub(in crate::relay) fn proxies_for(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|proxies| proxies.contains(&peer))
    }

    /// Who takes connections that ask for that server name, in lower case.
    pub(in crate::relay) fn named(&self, name: Option<&str>) -> Option<Lead<'_>> {
        let found = name.and_then(|name| self.host(name));
        match (found, self.web) {
            (Some(found), Some(web)) if found.site().is_some() => Some(Lead::Web(web)),
            (Some(found), _) => Some(Lead::Service(found)),
            (None, _) => self.unnamed(),
        }
    }

    /// Who takes connections that ask for no name.
    pub(in crate::relay) fn unnamed(&self) -> Option<Lead<'_>> {
        let fallback = self.fallback.as_ref().map(Lead::Service);
        fallback.or_else(|| self.web.map(Lead::Web))
    }

    /// How requests come here, where there are any.
    pub(crate) fn web(&self) -> Option<Web> {
        self.web
    }

    /// The service of that name, in lower case: one over HTTP, or one that TLS is passed
    /// through to.
    pub(crate) fn host(&self, name: &str) -> Option<&Arc<Published>> {
        self.names.find(name)
    }

    /// The service of that name, in lower case, that requests are redirected to.
    pub(crate) fn redirect(&self, name: &str) -> Option<&Arc<Published>> {
        self.redirects.find(name)
    }
}

impl Names {
    fn of(services: &[Arc<Published>]) -> Self {
        let mut names = Self::default();
        for service in services {
            let settings = service.settings();
            let Some(domain) = settings.domain.as_deref() else { continue };
            if !matches!(settings.mode, Mode::Tls | Mode::Http) {
                continue;
            }
            let (names, name) = match domain.strip_prefix("*.") {
                Some(parent) => (&mut names.wildcards, parent),
                None => (&mut names.exact, domain),
            };
            names.insert(name.to_owned(), Arc::clone(service));
        }
        names
    }

    /// Exact names come first; a wildcard stands for one label.
    fn find(&self, name: &str) -> Option<&Arc<Published>> {
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard)
    }
}
