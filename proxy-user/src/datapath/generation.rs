//! What the kernel judges by, complete.

use std::{collections::BTreeMap, sync::Arc};

use ipnet::IpNet;
use proxy_common::{
    country::Country,
    policy::{CidrFlags, Rules, TableId},
};

use super::Backends;
use crate::{
    config::{Config, Denial, Listen, Service},
    policy::Policy,
};

/// Whose slot flows of listeners have that services share by name: of no service yet. No
/// service has that name.
pub const SHARED: &str = "*";

/// A policy and its services in the form that the kernel takes.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The global layer.
    pub global: Rules,
    /// Every service.
    pub services: Vec<ServiceEntry>,
    /// Prefixes of the CIDR tables that the layers name.
    pub cidrs: Vec<(TableId, IpNet, CidrFlags)>,
    /// The country table that the layers name.
    pub countries: Option<CountryTable>,
}

/// One service of a generation.
#[derive(Clone, Debug)]
pub struct ServiceEntry {
    /// Its name.
    pub name: String,
    /// IP protocol number.
    pub transport: u8,
    /// Its own layer.
    pub rules: Rules,
    /// Where it listens. Services that share a listener are told apart by name: there the
    /// kernel lets everyone in.
    pub listen: Vec<Listen>,
    /// Whether its flows end in the relay.
    pub relayed: bool,
    /// Whether each request says anew whom it is for: the kernel lets everyone in, as where
    /// services share a listener.
    pub by_request: bool,
    /// `deny = "reset"`.
    pub reset: bool,
    /// The targets that the kernel plane forwards to; `None`: it does not.
    pub forward: Option<Backends>,
}

/// Countries of prefixes; kept over generations that name the same table.
#[derive(Clone, Debug)]
pub struct CountryTable {
    /// Its number.
    pub id: TableId,
    /// Disjoint prefixes.
    pub prefixes: Arc<[(IpNet, Country)]>,
}

impl Generation {
    /// Puts `policy`, compiled from `config`, together with where its services listen, and
    /// with what the kernel plane forwards of them.
    pub fn of(config: &Config, policy: &Policy, forward: &BTreeMap<String, Backends>) -> Self {
        Self {
            global: *policy.global(),
            services: config
                .services
                .iter()
                .map(|service| entry(service, policy, forward))
                .collect(),
            cidrs: policy.cidrs().to_vec(),
            countries: policy
                .countries()
                .map(|(id, prefixes)| CountryTable { id, prefixes: prefixes.clone() }),
        }
    }
}

fn entry(service: &Service, policy: &Policy, forward: &BTreeMap<String, Backends>) -> ServiceEntry {
    ServiceEntry {
        name: service.name.clone(),
        transport: service.mode.transport(),
        rules: *policy.rules(&service.name),
        listen: service.listen.clone(),
        relayed: !service.is_guard(),
        by_request: service.web().is_some(),
        reset: service.deny == Denial::Reset,
        forward: forward.get(&service.name).cloned(),
    }
}
