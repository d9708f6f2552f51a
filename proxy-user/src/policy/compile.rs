//! From the configuration to tables.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use proxy_common::{
    address::Address,
    country::{Country, CountrySet},
    policy::{CidrFlags, Rules, TableId},
    verdict::{self, Judgement, Tables},
};

use super::{ranges::Ranges, union::union};
use crate::{
    config::{Access, AccessMode, Config, GlobalAccess, Matching},
    geo::Database,
};

/// Hands out table numbers, each once.
#[derive(Debug)]
pub struct TableIds(TableId);

impl TableIds {
    /// From `first` on.
    pub const fn from(first: TableId) -> Self {
        Self(first)
    }

    fn next(&mut self) -> TableId {
        let id = self.0;
        // 0 stands for no table.
        self.0 = self.0.checked_add(1).unwrap_or(1);
        id
    }
}

/// One generation's restrictions.
#[derive(Default)]
pub struct Policy {
    global: Option<Rules>,
    services: BTreeMap<String, Rules>,
    cidrs: Vec<(TableId, IpNet, CidrFlags)>,
    ranges: BTreeMap<TableId, Ranges>,
    countries: Option<Countries>,
    pub(super) geo: Option<Arc<Database>>,
    pub(super) gateways: Vec<IpAddr>,
    pub(super) global_access: Option<GlobalAccess>,
    pub(super) accesses: Vec<(String, Access)>,
}

/// Disjoint prefixes and where they are.
type Located = Arc<[(IpNet, Country)]>;

/// The prefixes of the countries that some rule names.
struct Countries {
    id: TableId,
    database: u64,
    set: CountrySet,
    prefixes: Located,
}

/// Compiles the restrictions of `config`. `gateways` are never exempt from country
/// rules. The country table of the policy `before` is kept where it is the same.
pub fn compile(
    config: &Config,
    geo: Option<Arc<Database>>,
    gateways: &[IpAddr],
    ids: &mut TableIds,
    before: Option<&Policy>,
) -> Policy {
    let mut policy = Policy {
        countries: geo.as_deref().and_then(|geo| countries(config, geo, ids, before)),
        geo,
        gateways: gateways.to_vec(),
        global_access: Some(config.global.clone()),
        ..Policy::default()
    };
    let global = policy.add(global_entries(&config.global, gateways), ids);
    policy.global = Some(policy.rules_of(&config.global.access, global));
    for service in &config.services {
        let proxies = &service.proxy_protocol.accept_from;
        let mut all = entries(&service.access);
        all.extend(proxies.iter().map(|net| (*net, CidrFlags::PROXY)));
        let table = policy.add(union(all), ids);
        let mut rules = policy.rules_of(&service.access, table);
        if !proxies.is_empty() {
            rules.flags |= Rules::PROXIES;
        }
        policy.services.insert(service.name.clone(), rules);
        policy.accesses.push((service.name.clone(), service.access.clone()));
    }
    policy
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

/// The countries that rules name, where a rule names one.
fn countries(
    config: &Config,
    geo: &Database,
    ids: &mut TableIds,
    before: Option<&Policy>,
) -> Option<Countries> {
    let mut set = CountrySet::EMPTY;
    let services = config.services.iter().map(|service| &service.access);
    let layers = services.chain([&config.global.access]);
    let mut asked = false;
    for access in layers.filter(|access| access.asks_country()) {
        asked = true;
        set.extend(&access.allowed_countries.unwrap_or_default());
        set.extend(&access.blocked_countries);
    }
    let known = before
        .and_then(|before| before.countries.as_ref())
        .filter(|known| known.database == geo.identity() && known.set == set);
    let (id, prefixes) = match known {
        Some(known) => (known.id, Arc::clone(&known.prefixes)),
        None if asked => (ids.next(), geo.prefixes_of(&set).into()),
        None => return None,
    };
    asked.then_some(Countries { id, database: geo.identity(), set, prefixes })
}

impl Policy {
    fn add(&mut self, entries: Vec<(IpNet, CidrFlags)>, ids: &mut TableIds) -> TableId {
        if entries.is_empty() {
            return 0;
        }
        let id = ids.next();
        self.ranges.insert(id, Ranges::of(&entries));
        self.cidrs.extend(entries.into_iter().map(|(net, flags)| (id, net, flags)));
        id
    }

    fn rules_of(&self, access: &Access, cidrs: TableId) -> Rules {
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
            cidrs,
            countries: self.countries.as_ref().map_or(0, |countries| countries.id),
            allowed_countries: access.allowed_countries.unwrap_or_default(),
            blocked_countries: access.blocked_countries,
            ..Rules::OPEN
        }
    }

    /// The global layer.
    pub fn global(&self) -> &Rules {
        self.global.as_ref().unwrap_or(&Rules::OPEN)
    }

    /// A service's own layer.
    pub fn rules(&self, service: &str) -> &Rules {
        self.services.get(service).unwrap_or(&Rules::OPEN)
    }

    /// Every entry of the CIDR tables.
    pub fn cidrs(&self) -> &[(TableId, IpNet, CidrFlags)] {
        &self.cidrs
    }

    /// The country table, where a rule needs one and a database is loaded.
    pub fn countries(&self) -> Option<(TableId, &Located)> {
        self.countries.as_ref().map(|countries| (countries.id, &countries.prefixes))
    }

    /// Judges a client of a service by both layers.
    pub fn judge(&self, service: &str, client: IpAddr) -> Judgement {
        let address = Address::from(client.to_canonical());
        verdict::judge(self, self.global(), self.rules(service), &address)
    }

    /// As [`Self::judge`], for an address that others stand behind: it is never exempt from
    /// country rules.
    pub fn judge_proxy(&self, service: &str, proxy: IpAddr) -> Judgement {
        let address = Address::from(proxy.to_canonical());
        verdict::judge(&NotExempt(self), self.global(), self.rules(service), &address)
    }
}

/// A policy that exempts nobody from its country rules.
struct NotExempt<'a>(&'a Policy);

impl Tables for NotExempt<'_> {
    fn cidr(&self, table: TableId, address: &Address) -> CidrFlags {
        self.0.cidr(table, address).without(CidrFlags::EXEMPT)
    }

    fn country(&self, table: TableId, address: &Address) -> Option<Country> {
        self.0.country(table, address)
    }
}

impl Tables for Policy {
    fn cidr(&self, table: TableId, address: &Address) -> CidrFlags {
        self.ranges.get(&table).map_or(CidrFlags::NONE, |ranges| ranges.get(address))
    }

    /// The database itself, which says the same as the table: a country that no
    /// rule names makes no difference.
    fn country(&self, _: TableId, address: &Address) -> Option<Country> {
        self.geo.as_ref()?.country(IpAddr::from(*address))
    }
}
