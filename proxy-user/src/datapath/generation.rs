//! What the kernel judges by, complete.

use std::{collections::BTreeMap, sync::Arc};

use super::Backends;
use crate::{
    config::{Config, Denial, Listen, Service},
    policy::{Classes, Policy},
};

/// Whose slot flows of listeners have that services share by name: of no service yet. No
/// service has that name.
pub const SHARED: &str = "*";

/// A policy and its services in the form that the kernel takes.
#[derive(Clone)]
pub struct Generation {
    /// Every service.
    pub services: Vec<ServiceEntry>,
    /// The verdicts on every address at each of them.
    pub classes: Arc<Classes>,
}

/// One service of a generation.
#[derive(Clone, Debug)]
pub struct ServiceEntry {
    /// Its name.
    pub name: String,
    /// IP protocol number.
    pub transport: u8,
    /// Its place among those that the verdicts are of.
    pub place: usize,
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

impl Generation {
    /// Puts `policy`, compiled from `config`, together with where its services listen, and
    /// with what the kernel plane forwards of them.
    pub fn of(config: &Config, policy: &Policy, forward: &BTreeMap<String, Backends>) -> Self {
        Self {
            services: config
                .services
                .iter()
                .map(|service| entry(service, policy, forward))
                .collect(),
            classes: Arc::clone(policy.classes()),
        }
    }
}

fn entry(service: &Service, policy: &Policy, forward: &BTreeMap<String, Backends>) -> ServiceEntry {
    ServiceEntry {
        name: service.name.clone(),
        transport: service.mode.transport(),
        place: policy.place(&service.name),
        listen: service.listen.clone(),
        relayed: !service.is_guard(),
        by_request: service.web().is_some(),
        reset: service.deny == Denial::Reset,
        forward: forward.get(&service.name).cloned(),
    }
}
