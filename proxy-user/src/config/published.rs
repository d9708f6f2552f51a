//! A service, and where it listens: types.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use ipnet::IpNet;
use proxy_common::address::{PROTOCOL_TCP, PROTOCOL_UDP};

use super::{Access, Denial, Destination, Forwarding, Target, Web};
use crate::record::Protocol;

/// The ports that URLs without one stand for.
pub(super) const HTTP: u16 = 80;
pub(super) const HTTPS: u16 = 443;

/// A published or guarded service.
#[derive(Clone, Debug)]
pub struct Service {
    /// The record's `service_id`.
    pub name: String,
    /// What it speaks, and how far Weir reads along.
    pub mode: Mode,
    /// The record's `host`, where given, in lower case. Of a `tls` or `http` service always:
    /// the name that its clients ask for, or `*.` and a name for every name one label below
    /// that.
    pub domain: Option<String>,
    /// At least one.
    pub listen: Vec<Listen>,
    /// Where its connections end.
    pub destination: Destination,
    /// Its own restrictions.
    pub access: Access,
    /// How a denial looks to the client; of an `http` service as an answer, in any case.
    pub deny: Denial,
    /// For a dial to a target.
    pub connect_timeout: Duration,
    /// Without a new payload byte either way; of an `http` service, of an upgraded
    /// connection.
    pub idle_timeout: Duration,
    /// At the same time; of a `udp` service sessions, of an `http` one requests.
    pub max_connections: NonZeroU32,
    /// Where the client's address comes from and goes to, beside the IP header.
    pub proxy_protocol: ProxyProtocol,
    /// Who carries its packets.
    pub forwarding: Forwarding,
}

impl Service {
    /// The record's `host`.
    pub fn host(&self) -> &str {
        self.domain.as_deref().unwrap_or(&self.name)
    }

    /// Whether something of this host listens, and Weir opens no socket.
    pub fn is_guard(&self) -> bool {
        self.destination == Destination::Host
    }

    /// What the relay may dial; none where the service is a guard, or over HTTP.
    pub fn targets(&self) -> &[Target] {
        match &self.destination {
            Destination::Host | Destination::Web(_) => &[],
            Destination::Targets(targets) => &targets.list,
        }
    }

    /// Whatever is dialled for it, over HTTP too, in the order of the configuration.
    pub(super) fn dialled(&self) -> Vec<&Target> {
        match &self.destination {
            Destination::Host => Vec::new(),
            Destination::Targets(targets) => targets.list.iter().collect(),
            Destination::Web(web) => {
                let targets = web.routes.iter().flat_map(|route| &route.targets);
                targets.map(|target| &target.target).collect()
            }
        }
    }

    /// Where requests for its domain over plain HTTP are answered with a redirect: what it
    /// listens on at port 443, at port 80.
    pub fn redirect_listen(&self) -> impl Iterator<Item = Listen> {
        let redirects = self.web().is_some_and(|web| web.redirect_http);
        let listen = self.listen.iter().filter(move |listen| redirects && listen.port == HTTPS);
        listen.map(|listen| Listen { port: HTTP, ..*listen })
    }

    /// What it does with requests, where it is one over HTTP.
    pub fn web(&self) -> Option<&Web> {
        match &self.destination {
            Destination::Web(web) => Some(web),
            Destination::Host | Destination::Targets(_) => None,
        }
    }
}

/// `mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Requests, each of which is judged and recorded.
    Http,
    /// A stream, of which nothing is read.
    Tcp,
    /// Datagrams.
    Udp,
    /// A stream that begins with a TLS handshake, of which the server name is read.
    Tls,
}

impl Mode {
    /// As records call it.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Http => Protocol::Http,
            Self::Tcp => Protocol::Tcp,
            Self::Udp => Protocol::Udp,
            Self::Tls => Protocol::Tls,
        }
    }

    /// IP protocol number.
    pub const fn transport(self) -> u8 {
        match self {
            Self::Http | Self::Tcp | Self::Tls => PROTOCOL_TCP,
            Self::Udp => PROTOCOL_UDP,
        }
    }
}

/// `proxy_protocol`: the PROXY protocol of HAProxy, versions 1 and 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Peers that must send a header; others' are payload.
    pub accept_from: Vec<IpNet>,
    /// What the target gets.
    pub send: SendProxy,
}

/// `proxy_protocol.send`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SendProxy {
    /// No header.
    #[default]
    Off,
    /// The text header.
    V1,
    /// The binary header.
    V2,
}

/// One `listen` entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Listen {
    /// Which local addresses.
    pub address: ListenAddress,
    /// Not 0.
    pub port: u16,
}

/// Which local addresses an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListenAddress {
    /// `":5432"`: every address of this host.
    Any,
    /// `"0.0.0.0:5432"`
    AnyV4,
    /// `"[::]:5432"`
    AnyV6,
    /// One address.
    One(IpAddr),
}
