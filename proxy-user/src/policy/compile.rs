//! From the configuration to tables.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use proxy_common::{
    address::Address,
    country::{Country, CountrySet},
    verdict::{Judgement, Verdict},
};

use super::{
    classes::Classes,
    error::{Excess, PolicyError},
    rules::{CidrFlags, Layer, Rules},
    union::union,
};
use crate::{
    config::{Access, AccessMode, Config, GlobalAccess, Matching},
    geo::Database,
};

/// One generation's restrictions.
#[derive(Default)]
pub struct Policy {
    classes: Arc<Classes>,
    /// Places among those that `classes` knows. The first is of whom it does not know.
    services: BTreeMap<String, usize>,
    countries: Option<Countries>,
    pub(super) geo: Option<Arc<Database>>,
    pub(super) gateways: Vec<IpAddr>,
    pub(super) global_access: Option<GlobalAccess>,
    pub(super) accesses: Vec<(String, Access)>,
}

/// The prefixes of the countries that some rule names.
#[derive(Clone)]
struct Countries {
    database: u64,
    set: CountrySet,
    /// Disjoint.
    prefixes: Arc<[(IpNet, Country)]>,
}

/// Compiles the restrictions of `config`. `gateways` are never exempt from country
/// rules. What the policy `before` read of the country database is kept where it is the same.
///
/// # Errors
/// They are more than the kernel's tables hold.
pub fn compile(
    config: &Config,
    geo: Option<Arc<Database>>,
    gateways: &[IpAddr],
    before: Option<&Policy>,
) -> Result<Policy, PolicyError> {
    let global = Layer {
        rules: rules_of(&config.global.access),
        cidrs: global_entries(&config.global, gateways),
    };
    let own = config.services.iter().map(|service| {
        let proxies = &service.proxy_protocol.accept_from;
        let mut entries = entries(&service.access);
        entries.extend(proxies.iter().map(|net| (*net, CidrFlags::PROXY)));
        let mut rules = rules_of(&service.access);
        if !proxies.is_empty() {
            rules.flags |= Rules::PROXIES;
        }
        Layer { rules, cidrs: union(entries) }
    });
    let layers: Vec<Layer> = [Layer::OPEN].into_iter().chain(own).collect();
    let countries = geo.as_deref().and_then(|geo| countries(config, geo, before));
    let located = countries.as_ref().map(|countries| &*countries.prefixes);
    let classes = Classes::of(&global, &layers, located)
        .map_err(|excess| refused(excess, config, &global, &layers[1..]))?;
    let names = config.services.iter().map(|service| service.name.clone());
    let accesses = config.services.iter().map(|service| service.access.clone());
    Ok(Policy {
        classes: classes.into(),
        services: names.clone().zip(1..).collect(),
        countries,
        geo,
        gateways: gateways.to_vec(),
        global_access: Some(config.global.clone()),
        accesses: names.zip(accesses).collect(),
    })
}

/// Says where most of a policy stands.
fn refused(excess: Excess, config: &Config, global: &Layer, own: &[Layer]) -> PolicyError {
    let services = config.services.iter().zip(own);
    let tables = services.map(|(service, layer)| (format!("service.{}", service.name), layer));
    let all = [("global_access".to_owned(), global)].into_iter().chain(tables);
    let all = all.map(|(table, layer)| (layer.cidrs.len(), table));
    let (prefixes, table) = all.max().unwrap_or_default();
    PolicyError { excess, table, prefixes }
}

fn entries(access: &Access) -> Vec<(IpNet, CidrFlags)> {
    let allowed = access.allowed_cidrs.iter().flatten().map(|net| (*net, CidrFlags::ALLOWED));
    let blocked = access.blocked_cidrs.iter().map(|net| (*net, CidrFlags::BLOCKED));
    allowed.chain(blocked).collect()
}

fn global_entries(global: &GlobalAccess, gateways: &[IpAddr]) -> Vec<(IpNet, CidrFlags)> {
    let mut all = entries(&global.access);
    all.extend(global.country_exempt.iter().map(|net| (*net, CidrFlags::EXEMPT)));
    all.extend(global.never_deny.iter().map(|net| (*net, CidrFlags::NEVER_DENY)));
    let gateways: Vec<IpNet> = gateways.iter().map(|gateway| IpNet::from(*gateway)).collect();
    all.extend(gateways.iter().map(|gateway| (*gateway, CidrFlags::NONE)));
    let mut all = union(all);
    for (net, flags) in &mut all {
        if gateways.contains(net) {
            *flags = flags.without(CidrFlags::EXEMPT);
        }
    }
    all
}

fn rules_of(access: &Access) -> Rules {
    let flags = [
        (access.allowed_cidrs.is_some(), Rules::ALLOWED_CIDRS),
        (access.allowed_countries.is_some(), Rules::ALLOWED_COUNTRIES),
        (!access.blocked_countries.is_empty(), Rules::BLOCKED_COUNTRIES),
        (access.matching == Matching::Any, Rules::MATCH_ANY),
        (access.mode == AccessMode::Observe, Rules::OBSERVE),
    ];
    let set = flags.iter().filter(|(wanted, _)| *wanted);
    Rules {
        flags: set.fold(0, |flags, (_, flag)| flags | flag),
        allowed_countries: access.allowed_countries.unwrap_or_default(),
        blocked_countries: access.blocked_countries,
    }
}

/// The countries that rules name, where a rule names one: whether an address is in another
/// country or in none makes no difference to any rule.
fn countries(config: &Config, geo: &Database, before: Option<&Policy>) -> Option<Countries> {
    let services = config.services.iter().map(|service| &service.access);
    let mut asking =
        services.chain([&config.global.access]).filter(|access| access.asks_country()).peekable();
    asking.peek()?;
    let mut set = CountrySet::EMPTY;
    for access in asking {
        set.extend(&access.allowed_countries.unwrap_or_default());
        set.extend(&access.blocked_countries);
    }
    let known = before
        .and_then(|before| before.countries.as_ref())
        .filter(|known| known.database == geo.identity() && known.set == set);
    Some(known.cloned().unwrap_or_else(|| {
        let prefixes = geo.prefixes_of(&set).into();
        Countries { database: geo.identity(), set, prefixes }
    }))
}

impl Policy {
    /// The tables.
    pub fn classes(&self) -> &Arc<Classes> {
        &self.classes
    }

    /// The place of a service among those that the tables know.
    pub fn place(&self, service: &str) -> usize {
        self.services.get(service).copied().unwrap_or(0)
    }

    /// What the tables say of an address, v4-mapped ones unwrapped.
    pub fn verdict(&self, service: &str, address: IpAddr) -> Verdict {
        let address = Address::from(address.to_canonical());
        self.classes.verdict(self.place(service), &address)
    }

    /// Whether both hold one reading of one country database.
    #[cfg(test)]
    pub(super) fn reads_the_same(&self, other: &Self) -> bool {
        let prefixes = |policy: &Self| policy.countries.as_ref().map(|c| Arc::clone(&c.prefixes));
        match (prefixes(self), prefixes(other)) {
            (Some(own), Some(others)) => Arc::ptr_eq(&own, &others),
            _ => false,
        }
    }

    /// Judges a client of a service by both layers.
    pub fn judge(&self, service: &str, client: IpAddr) -> Judgement {
        self.verdict(service, client).client()
    }

    /// As [`Self::judge`], for an address that others stand behind: it is never exempt from
    /// country rules.
    pub fn judge_proxy(&self, service: &str, proxy: IpAddr) -> Judgement {
        self.verdict(service, proxy).proxy()
    }
}
