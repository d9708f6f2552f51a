//! Which plane serves a service, and why.

use std::{collections::BTreeMap, net::SocketAddr, ops::RangeInclusive};

use crate::{
    config::{Config, Destination, Forward, Service, SourceAddress, Target, busy_ports},
    datapath::{
        AnswerPorts, Backends, Egress, Network, Release, TargetWay, egress, foreign_chains,
    },
    relay::TargetPlace,
};

/// What is known of the host that decides.
pub(in crate::daemon) struct Host<'a> {
    pub(in crate::daemon) network: &'a Network,
    /// Targets by service, as far as the relay knows of them.
    pub(in crate::daemon) places: BTreeMap<String, Vec<TargetPlace>>,
    /// Why the kernel plane cannot be used at all, in words.
    pub(in crate::daemon) unfit: Option<String>,
    /// What netfilter does that forwarded packets never meet.
    pub(in crate::daemon) chains: Vec<String>,
}

impl<'a> Host<'a> {
    /// Looks at the host.
    pub(in crate::daemon) fn look(
        network: &'a Network,
        places: BTreeMap<String, Vec<TargetPlace>>,
    ) -> Self {
        let chains = foreign_chains()
            .unwrap_or_else(|error| vec![format!("netfilter's, which cannot be read: {error}")]);
        Self { network, places, unfit: Release::of_host().unfit(), chains }
    }
}

/// Who serves a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Plan {
    /// The kernel plane.
    Kernel(Backends),
    /// The relay; why.
    Relay(String),
}

/// Decides for each service that the relay publishes. The rest have no plan.
pub(in crate::daemon) fn plan(config: &Config, host: &Host<'_>) -> BTreeMap<String, Plan> {
    let relayed = config.services.iter().filter(|service| !service.targets().is_empty());
    relayed.map(|service| (service.name.clone(), of(service, config, host))).collect()
}

fn of(service: &Service, config: &Config, host: &Host<'_>) -> Plan {
    match ways(service, config, host) {
        Ok(backends) => Plan::Kernel(backends),
        Err(why) => Plan::Relay(why),
    }
}

/// The way to each target that clients are sent to.
///
/// # Errors
/// Why the kernel plane cannot serve, in words.
fn ways(service: &Service, config: &Config, host: &Host<'_>) -> Result<Backends, String> {
    if let Some(why) = service.unfit_for_kernel() {
        return Err(why.to_owned());
    }
    if let Some(why) = &host.unfit {
        return Err(why.clone());
    }
    if service.forwarding.by == Forward::Auto
        && let Some(chain) = host.chains.first()
    {
        return Err(format!(
            "netfilter has rules that forwarded packets would not meet: {chain} \
             (forward = \"kernel\" does without them)"
        ));
    }
    let mut places = places(service, host);
    if places.iter().any(|place| place.is_up) {
        places.retain(|place| place.is_up);
    }
    let mut targets = Vec::new();
    for place in &places {
        let Some(address) = place.addresses.first() else { continue };
        targets.push(way(*address, place.number, config, host)?);
    }
    let Destination::Targets(list) = &service.destination else {
        return Err("it has no targets".to_owned());
    };
    Ok(Backends {
        balance: list.balance,
        source: service.forwarding.source,
        sources: config.kernel.nat.addresses.clone(),
        most_sessions: service.max_connections.get(),
        targets,
    })
}

/// Where the targets are: as the relay knows, or as the configuration says.
fn places(service: &Service, host: &Host<'_>) -> Vec<TargetPlace> {
    let known = host.places.get(&service.name);
    let place = |target: &Target| {
        let known = known.and_then(|all| all.iter().find(|place| place.target == *target));
        known.cloned().unwrap_or_else(|| TargetPlace::unknown(target))
    };
    service.targets().iter().map(place).collect()
}

fn way(
    address: SocketAddr,
    number: u64,
    config: &Config,
    host: &Host<'_>,
) -> Result<TargetWay, String> {
    let ip = address.ip().to_canonical();
    let address = SocketAddr::new(ip, address.port());
    let found = egress(ip).map_err(|error| format!("the way to {ip} cannot be asked for: {error}"));
    let (interface, next_hop, source, own_mtu) = match found? {
        Egress::Local => {
            return Err(format!("{ip} is an address of this host, which no packet leaves"));
        }
        Egress::None => return Err(format!("there is no route to {ip}")),
        Egress::Link { interface, next_hop, source, mtu } => (interface, next_hop, source, mtu),
    };
    let link = host.network.interfaces.iter().find(|link| link.index == interface);
    let Some(link) = link else { return Err(format!("the link to {ip} is not known yet")) };
    if link.in_vrf {
        return Err(format!("{ip} is reached through {}, in a VRF", link.name));
    }
    let mtu = own_mtu.map_or(link.mtu, |own| own.min(link.mtu));
    let own = config.kernel.nat.addresses.iter().find(|own| own.is_ipv4() == ip.is_ipv4());
    let source = own.copied().unwrap_or(source);
    Ok(TargetWay { address, number, source, next_hop, interface, mtu })
}

/// Where answers of targets come in.
pub(in crate::daemon) fn answer_ports(
    config: &Config,
    plans: &BTreeMap<String, Plan>,
) -> AnswerPorts {
    let nat: RangeInclusive<u16> = config.kernel.nat.ports.clone();
    let mut of_targets = Vec::new();
    for service in &config.services {
        let Some(Plan::Kernel(backends)) = plans.get(&service.name) else { continue };
        if backends.source == SourceAddress::Client {
            let ports = backends.targets.iter().map(|way| way.address.port());
            of_targets.extend(ports.map(|port| (service.mode.transport(), port)));
        }
    }
    of_targets.sort_unstable();
    of_targets.dedup();
    let taken = busy_ports(&nat);
    AnswerPorts { nat: Some(nat), taken, of_targets }
}

/// Interfaces by which targets of the kernel plane are reached: answers come in there.
pub(in crate::daemon) fn links(plans: &BTreeMap<String, Plan>) -> Vec<u32> {
    let backends = plans.values().filter_map(|plan| match plan {
        Plan::Kernel(backends) => Some(backends),
        Plan::Relay(_) => None,
    });
    backends.flat_map(|backends| backends.targets.iter().map(|way| way.interface)).collect()
}

/// Where clients of each service are sent that the kernel plane may serve: nowhere where the
/// relay serves them now, so that this can change while a generation is in force.
pub(in crate::daemon) fn backends(
    config: &Config,
    plans: &BTreeMap<String, Plan>,
) -> BTreeMap<String, Backends> {
    let fit = config.services.iter().filter(|service| service.unfit_for_kernel().is_none());
    let of = |service: &Service| match plans.get(&service.name) {
        Some(Plan::Kernel(backends)) => backends.clone(),
        _ => Backends::nowhere(service.max_connections.get()),
    };
    fit.map(|service| (service.name.clone(), of(service))).collect()
}
