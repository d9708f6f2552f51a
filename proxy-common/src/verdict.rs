//! The verdict: one function, called by the kernel programs and the daemon.

use crate::{
    address::Address,
    country::{Country, CountrySet},
    policy::{CidrFlags, Rules, TableId},
    reason::Reason,
};

/// Where the verdict looks addresses up: kernel maps, or the daemon's own tables.
pub trait Tables {
    /// The union of the flags of every prefix in `table` that contains `address`.
    fn cidr(&self, table: TableId, address: &Address) -> CidrFlags;
    /// The country of `address`, `None` where it is unknown.
    fn country(&self, table: TableId, address: &Address) -> Option<Country>;
}

/// What was decided about an address, and what an observing layer would have
/// decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The enforced denial.
    pub denied: Option<Reason>,
    /// What a layer in `observe` mode would have denied for.
    pub observed: Option<Reason>,
    /// A country rule was asked and did not apply to this address.
    pub country_exempt: bool,
}

/// What the kernel programs say of a peer at `address`: as [`judge`], but one that must
/// send a PROXY header passes. It is not the client: the relay judges the address that
/// its header names.
#[inline(always)]
pub fn admit<T: Tables>(tables: &T, global: &Rules, own: &Rules, address: &Address) -> Judgement {
    if own.has(Rules::PROXIES) && cidr(tables, own.cidrs, address).has(CidrFlags::PROXY) {
        return Judgement::default();
    }
    judge(tables, global, own, address)
}

/// Judges `address` by the global layer and the service's own; both must pass
/// (SPEC 3).
#[inline(always)]
pub fn judge<T: Tables>(tables: &T, global: &Rules, own: &Rules, address: &Address) -> Judgement {
    let base = cidr(tables, global.cidrs, address);
    if base.has(CidrFlags::NEVER_DENY) {
        return Judgement::default();
    }
    let asked = global.asks_country() || own.asks_country();
    let exempt = base.has(CidrFlags::EXEMPT);
    let place = if exempt {
        Place::EXEMPT
    } else if asked {
        // One database serves both layers.
        Place::of(tables, global.countries | own.countries, address)
    } else {
        Place::UNASKED
    };
    let first = layer(global, base, place);
    let second = layer(own, cidr(tables, own.cidrs, address), place);
    let denied = enforced(global, first).or(enforced(own, second));
    Judgement {
        denied,
        observed: if denied.is_some() { None } else { first.or(second) },
        country_exempt: denied.is_none() && asked && exempt,
    }
}

#[inline(always)]
fn enforced(rules: &Rules, denial: Option<Reason>) -> Option<Reason> {
    if rules.has(Rules::OBSERVE) { None } else { denial }
}

#[inline(always)]
fn cidr<T: Tables>(tables: &T, table: TableId, address: &Address) -> CidrFlags {
    if table == 0 { CidrFlags::NONE } else { tables.cidr(table, address) }
}

/// What is known of where an address is.
#[derive(Clone, Copy)]
struct Place {
    /// Country rules do not apply.
    exempt: bool,
    /// There is a database to ask.
    database: bool,
    country: Option<Country>,
}

impl Place {
    const UNASKED: Self = Self { exempt: false, database: true, country: None };
    const EXEMPT: Self = Self { exempt: true, database: true, country: None };

    #[inline(always)]
    fn of<T: Tables>(tables: &T, table: TableId, address: &Address) -> Self {
        if table == 0 {
            return Self { exempt: false, database: false, country: None };
        }
        Self { exempt: false, database: true, country: tables.country(table, address) }
    }

    #[inline(always)]
    fn is_in(self, set: &CountrySet) -> bool {
        match self.country {
            Some(country) => set.contains(country),
            None => false,
        }
    }
}

#[inline(always)]
fn layer(rules: &Rules, cidr: CidrFlags, place: Place) -> Option<Reason> {
    if rules.has(Rules::MATCH_ANY) {
        match_any(rules, cidr, place)
    } else {
        match_all(rules, cidr, place)
    }
}

#[inline(always)]
fn match_all(rules: &Rules, cidr: CidrFlags, place: Place) -> Option<Reason> {
    if rules.has(Rules::ALLOWED_CIDRS) && !cidr.has(CidrFlags::ALLOWED) {
        return Some(Reason::IpRestricted);
    }
    if cidr.has(CidrFlags::BLOCKED) {
        return Some(Reason::IpRestricted);
    }
    if rules.asks_country() && !place.database {
        return Some(Reason::GeoUnavailable);
    }
    if rules.has(Rules::ALLOWED_COUNTRIES) && !in_allowed(rules, place) {
        return Some(Reason::CountryRestricted);
    }
    in_blocked(rules, place).then_some(Reason::CountryRestricted)
}

#[inline(always)]
fn match_any(rules: &Rules, cidr: CidrFlags, place: Place) -> Option<Reason> {
    if cidr.has(CidrFlags::BLOCKED) {
        return Some(Reason::IpRestricted);
    }
    if rules.has(Rules::BLOCKED_COUNTRIES) {
        if !place.database {
            return Some(Reason::GeoUnavailable);
        }
        if in_blocked(rules, place) {
            return Some(Reason::CountryRestricted);
        }
    }
    if rules.has(Rules::ALLOWED_CIDRS) && cidr.has(CidrFlags::ALLOWED) {
        return None;
    }
    if rules.has(Rules::ALLOWED_COUNTRIES) {
        if !place.database {
            return Some(Reason::GeoUnavailable);
        }
        if in_allowed(rules, place) {
            return None;
        }
    }
    if rules.has(Rules::ALLOWED_CIDRS) {
        Some(Reason::IpRestricted)
    } else if rules.has(Rules::ALLOWED_COUNTRIES) {
        Some(Reason::CountryRestricted)
    } else {
        None
    }
}

#[inline(always)]
fn in_allowed(rules: &Rules, place: Place) -> bool {
    place.exempt || place.is_in(&rules.allowed_countries)
}

#[inline(always)]
fn in_blocked(rules: &Rules, place: Place) -> bool {
    place.is_in(&rules.blocked_countries)
}
