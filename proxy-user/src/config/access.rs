//! Restrictions: the short form, the long form, and the global layer.

use ipnet::IpNet;
use proxy_common::country::CountrySet;

use super::{
    Access, AccessMode, Denial, GlobalAccess, Matching,
    fields::Fields,
    prefix::{Listed, country, exempt_defaults, listed, prefix},
};

/// The keys that service and global layers share.
pub(super) fn layer(fields: &mut Fields<'_, '_>) -> Access {
    let mode = [("enforce", AccessMode::Enforce), ("observe", AccessMode::Observe)];
    let matching = [("all", Matching::All), ("any", Matching::Any)];
    Access {
        mode: fields.choice("mode", &mode).unwrap_or(AccessMode::Enforce),
        matching: fields.choice("match", &matching).unwrap_or(Matching::All),
        allowed_cidrs: set(fields.list("allowed_cidrs", prefix)),
        blocked_cidrs: fields.list("blocked_cidrs", prefix),
        allowed_countries: Some(countries(fields, "allowed_countries")).filter(|s| !s.is_empty()),
        blocked_countries: countries(fields, "blocked_countries"),
    }
}

/// An empty list is one that is not set: a typo in it would be a fault.
fn set(list: Vec<IpNet>) -> Option<Vec<IpNet>> {
    Some(list).filter(|list| !list.is_empty())
}

fn countries(fields: &mut Fields<'_, '_>, key: &str) -> CountrySet {
    let mut set = CountrySet::EMPTY;
    for country in fields.list(key, country) {
        set.insert(country);
    }
    set
}

pub(super) fn denial(fields: &mut Fields<'_, '_>) -> Option<Denial> {
    fields.choice("deny", &[("drop", Denial::Drop), ("reset", Denial::Reset)])
}

/// Takes `allow` and `block` of a service into its layer. `long` are the keys that
/// its `access` table sets.
pub(super) fn short_form(service: &mut Fields<'_, '_>, long: &[&str], access: &mut Access) {
    let sets = |keys: &[&'static str]| keys.iter().copied().find(|key| long.contains(key));
    let allow = service.list("allow", listed);
    let block = service.list("block", listed);
    if !allow.is_empty()
        && let Some(key) = sets(&["allowed_cidrs", "allowed_countries", "match"])
    {
        service.fault("allow", format!("allow and access.{key} are two forms of one thing"));
    }
    if !block.is_empty()
        && let Some(key) = sets(&["blocked_cidrs", "blocked_countries"])
    {
        service.fault("block", format!("block and access.{key} are two forms of one thing"));
    }
    if !allow.is_empty() {
        access.matching = Matching::Any;
        let (prefixes, countries) = split(allow);
        access.allowed_cidrs = set(prefixes);
        access.allowed_countries = Some(countries).filter(|countries| !countries.is_empty());
    }
    if !block.is_empty() {
        (access.blocked_cidrs, access.blocked_countries) = split(block);
    }
}

fn split(list: Vec<Listed>) -> (Vec<IpNet>, CountrySet) {
    let (mut prefixes, mut countries) = (Vec::new(), CountrySet::EMPTY);
    for entry in list {
        match entry {
            Listed::Prefix(prefix) => prefixes.push(prefix),
            Listed::Country(country) => countries.insert(country),
        }
    }
    (prefixes, countries)
}

/// `[global_access]`; `deny` in it is the default of the services.
pub(super) fn global(fields: &mut Fields<'_, '_>) -> (GlobalAccess, Option<Denial>) {
    let mut country_exempt = fields.list("country_exempt_cidrs", prefix);
    if fields.boolean("country_exempt_defaults").unwrap_or(true) {
        country_exempt.extend(exempt_defaults());
    }
    let global = GlobalAccess {
        access: layer(fields),
        country_exempt,
        never_deny: fields.list("never_deny_cidrs", prefix),
    };
    (global, denial(fields))
}
