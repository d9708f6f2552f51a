//! What services may not do to each other: share a port, or reach themselves.

use std::net::IpAddr;

use super::{
    Api, Listen, ListenAddress, Target,
    fault::{At, Report},
    service::Placed,
};

/// Ports that two services, or a service and the API, listen on.
pub(super) fn conflicts(services: &[Placed], (api, api_at): (&Api, At), report: &mut Report) {
    let mut taken: Vec<(Listen, At, String)> = Vec::new();
    taken.push((of_api(api), api_at, "the API".to_owned()));
    for placed in services {
        for (listen, at) in &placed.listen {
            let clash = taken.iter().find(|(known, _, _)| overlap(*known, *listen));
            if let Some((_, known_at, owner)) = clash {
                let place = report.place(*known_at);
                let message = format!("port {} is {owner}'s already ({place})", listen.port);
                report.fault(*at, message);
            }
            taken.push((*listen, *at, format!("service {}", placed.service.name)));
        }
    }
}

/// The API's listener, as an entry of a service would be.
pub(super) fn of_api(api: &Api) -> Listen {
    let address = ListenAddress::One(api.listen.ip().to_canonical());
    Listen { address, port: api.listen.port() }
}

fn overlap(a: Listen, b: Listen) -> bool {
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
        let (hosts, port): (Vec<IpAddr>, u16) = match &placed.service.target {
            Target::Address(address) => (vec![address.ip().to_canonical()], address.port()),
            Target::Name { host, port } if host.eq_ignore_ascii_case("localhost") => {
                (vec![[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()], *port)
            }
            Target::Host | Target::Name { .. } => continue,
        };
        let reaches = |listen: &Listen| {
            let accepted = |host: &IpAddr| accepts(listen.address, *host, host.is_loopback());
            listen.port == port && hosts.iter().any(accepted)
        };
        let owner = services
            .iter()
            .filter(|other| !other.service.is_guard())
            .find(|other| other.service.listen.iter().any(reaches));
        if let Some(owner) = owner {
            let message = format!("the target is a listener of service {}", owner.service.name);
            report.fault(placed.target_at, message);
        } else if reaches(&of_api(api)) {
            report.fault(placed.target_at, "the target is the API's listener");
        }
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
