//! A compiled policy and its services in the form that the kernel takes.

use crate::{
    config::{Config, Denial, Service},
    datapath::{CountryTable, Generation, ServiceEntry},
    policy::Policy,
};

/// Puts `policy`, compiled from `config`, together with where its services listen.
pub(super) fn generation(config: &Config, policy: &Policy) -> Generation {
    Generation {
        global: *policy.global(),
        services: config.services.iter().map(|service| entry(service, policy)).collect(),
        cidrs: policy.cidrs().to_vec(),
        countries: policy
            .countries()
            .map(|(id, prefixes)| CountryTable { id, prefixes: prefixes.clone() }),
    }
}

fn entry(service: &Service, policy: &Policy) -> ServiceEntry {
    ServiceEntry {
        name: service.name.clone(),
        rules: *policy.rules(&service.name),
        listen: service.listen.clone(),
        relayed: !service.is_guard(),
        reset: service.deny == Denial::Reset,
    }
}
