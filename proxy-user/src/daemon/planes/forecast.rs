//! What is to be expected of the kernel plane, before it serves.

use std::collections::BTreeMap;

use super::plan::{Host, Plan, plan};
use crate::{
    config::{Config, Forward, SourceAddress},
    datapath::{Backends, Network, TargetWay},
};

/// What `weir check` tells of the kernel plane: how many flows it has room for, and what
/// keeps it from serving where it is asked for.
pub fn forecast(config: &Config, network: &Network) -> Vec<Forecast> {
    let host = Host::look(network, BTreeMap::new());
    let mut forecasts = Vec::new();
    for address in &config.kernel.nat.addresses {
        if !network.locals.iter().any(|net| net.contains(address)) {
            let message = format!("kernel.nat_addresses: {address} is no address of this host");
            forecasts.push(Forecast::Trouble(message));
        }
    }
    for (name, plan) in plan(config, &host) {
        let Some(service) = config.services.iter().find(|service| service.name == name) else {
            continue;
        };
        match plan {
            Plan::Kernel(backends) => forecasts.push(room(&name, &backends, config)),
            Plan::Relay(why) if service.forwarding.by == Forward::Kernel => {
                let message = format!("service {name} is served by the relay: {why}");
                forecasts.push(Forecast::Trouble(message));
            }
            Plan::Relay(_) => {}
        }
    }
    forecasts
}

/// What is to be expected of the kernel plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// It serves a service; how much of it, in words.
    Serves(String),
    /// Something keeps it from what it was told.
    Trouble(String),
}

fn room(name: &str, backends: &Backends, config: &Config) -> Forecast {
    if backends.source == SourceAddress::Client {
        let message = format!("service {name} is forwarded in the kernel, from clients' own ports");
        return Forecast::Serves(message);
    }
    let (ports, targets) = (config.kernel.nat.capacity(), backends.targets.len());
    let sources = |way: &TargetWay| {
        let own = config.kernel.nat.addresses.iter();
        own.filter(|own| own.is_ipv4() == way.address.is_ipv4()).count().max(1)
    };
    let flows: usize = backends.targets.iter().map(|way| ports * sources(way)).sum();
    Forecast::Serves(format!(
        "service {name} is forwarded in the kernel: {flows} flows at a time, from {ports} ports \
         to {targets} targets"
    ))
}
