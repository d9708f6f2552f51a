//! What services may not do to each other: share a port, or reach themselves.

use std::net::IpAddr;

use proxy_common::address::PROTOCOL_TCP;

use super::{
    Api, Denial, Listen, ListenAddress, Mode, Service, Target,
    fault::{At, Report},
    service::Placed,
};

/// Ports that two services, or a service and the API, listen on and cannot share.
pub(super) fn conflicts(services: &[Placed], (api, api_at): (&Api, At), report: &mut Report) {
    let mut taken: Vec<Taken<'_>> = vec![Taken { listen: of_api(api), at: api_at, owner: None }];
    for placed in services {
        for (listen, at) in &placed.listen {
            let claim = Taken { listen: *listen, at: *at, owner: Some(&placed.service) };
            let objection = taken.iter().find_map(|known| claim.objection(known, report));
            if let Some(message) = objection {
                report.fault(*at, message);
            }
            taken.push(claim);
        }
    }
}

/// A listener, and whose it is: a service's, or the API's.
struct Taken<'a> {
    listen: Listen,
    at: At,
    owner: Option<&'a Service>,
}

impl Taken<'_> {
    /// Why this one cannot be beside a `known` one.
    fn objection(&self, known: &Self, report: &Report) -> Option<String> {
        if self.transport() != known.transport() || !overlap(self.listen, known.listen) {
            return None;
        }
        let (port, place) = (self.listen.port, report.place(known.at));
        let owner = match known.owner {
            Some(service) => format!("service {}", service.name),
            None => "the API".to_owned(),
        };
        let taken = format!("port {port} is {owner}'s already ({place})");
        let (Some(one), Some(other)) = (self.owner, known.owner) else { return Some(taken) };
        let by = match shared_by(one, other) {
            Ok(by) => by,
            Err(why) => return Some(format!("{taken}{why}")),
        };
        let shared = format!("port {port} is shared with {owner} by {by} ({place})");
        if self.listen != known.listen {
            return Some(format!("{shared}, which takes the same listen entry"));
        }
        let both_named = told_apart(one) != By::Nothing && told_apart(other) != By::Nothing;
        if both_named && one.domain.is_some() && one.domain == other.domain {
            return Some(format!("{shared}, and so is the domain"));
        }
        if one.proxy_protocol.accept_from != other.proxy_protocol.accept_from {
            return Some(format!("{shared}, which takes the same proxy_protocol.accept_from"));
        }
        let resets = one.deny == Denial::Reset || other.deny == Denial::Reset;
        resets.then(|| format!("{shared}, where deny = \"reset\" is not possible"))
    }

    fn transport(&self) -> u8 {
        self.owner.map_or(PROTOCOL_TCP, |service| service.mode.transport())
    }
}

/// By what two services can share a listener, or what else is to be said.
fn shared_by(one: &Service, other: &Service) -> Result<&'static str, &'static str> {
    match (told_apart(one), told_apart(other)) {
        _ if one.name == other.name => Err(""),
        (By::ServerName, By::ServerName | By::Nothing) | (By::Nothing, By::ServerName) => {
            Ok("server name")
        }
        (By::Host, By::Host) => Ok("Host"),
        (By::ServerName, By::Host) | (By::Host, By::ServerName) => {
            Err(", and one of them has tls = false")
        }
        _ => Err(""),
    }
}

/// By what the services of one listener are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Of the TLS handshake.
    ServerName,
    /// Of plain requests.
    Host,
    /// It takes what is no other's.
    Nothing,
    /// It shares no listener.
    Alone,
}

pub(super) fn told_apart(service: &Service) -> By {
    match (service.mode, service.web()) {
        (Mode::Http, Some(web)) if !web.tls => By::Host,
        (Mode::Http | Mode::Tls, _) if !service.is_guard() => By::ServerName,
        (Mode::Tcp, _) if !service.is_guard() => By::Nothing,
        _ => By::Alone,
    }
}

/// The API's listener, as an entry of a service would be.
pub(super) fn of_api(api: &Api) -> Listen {
    let address = ListenAddress::One(api.listen.ip().to_canonical());
    Listen { address, port: api.listen.port() }
}

/// Whether there is an address for both.
pub(super) fn overlap(a: Listen, b: Listen) -> bool {
    use ListenAddress::{Any, AnyV4, AnyV6, One};
    a.port == b.port
        && match (a.address, b.address) {
            (Any, _) | (_, Any) | (AnyV4, AnyV4) | (AnyV6, AnyV6) => true,
            (AnyV4, AnyV6) | (AnyV6, AnyV4) => false,
            (AnyV4, One(ip)) | (One(ip), AnyV4) => ip.is_ipv4(),
            (AnyV6, One(ip)) | (One(ip), AnyV6) => ip.is_ipv6(),
            (One(a), One(b)) => a == b,
        }
}

/// Targets that are listeners of ours: of the relay, a connection would go round for
/// ever; of the API, anyone would be taken for a client on this host.
pub(super) fn loops(services: &[Placed], api: &Api, report: &mut Report) {
    for placed in services {
        for (target, at) in placed.service.dialled().into_iter().zip(&placed.targets) {
            if let Some(owner) = owner(target, &placed.service, services, api) {
                report.fault(*at, format!("the target is {owner}"));
            }
        }
    }
}

/// Whose listener a target of `service` is.
fn owner(target: &Target, service: &Service, services: &[Placed], api: &Api) -> Option<String> {
    let (hosts, port): (Vec<IpAddr>, u16) = match target {
        Target::Address(address) => (vec![address.ip().to_canonical()], address.port()),
        Target::Name { host, port } if host == "localhost" => {
            (vec![[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()], *port)
        }
        Target::Name { .. } => return None,
    };
    let reaches = |listen: &Listen| {
        let accepted = |host: &IpAddr| accepts(listen.address, *host, host.is_loopback());
        listen.port == port && hosts.iter().any(accepted)
    };
    let owner = services
        .iter()
        .filter(|other| !other.service.is_guard())
        .filter(|other| other.service.mode.transport() == service.mode.transport())
        .find(|other| other.service.listen.iter().any(reaches));
    match owner {
        Some(owner) => Some(format!("a listener of service {}", owner.service.name)),
        None if service.mode == Mode::Udp => None,
        None => reaches(&of_api(api)).then(|| "the API's listener".to_owned()),
    }
}

/// Whether a listener is reached at `host`; a wildcard is where that is an address of
/// this host.
pub(super) fn accepts(address: ListenAddress, host: IpAddr, is_own: bool) -> bool {
    match address {
        ListenAddress::One(ip) => ip == host,
        ListenAddress::Any => is_own,
        ListenAddress::AnyV4 => is_own && host.is_ipv4(),
        ListenAddress::AnyV6 => is_own && host.is_ipv6(),
    }
}
