//! The verdict: one function, asked once for each class of addresses and each service. What
//! it says stands in the tables by which the kernel programs and the daemon judge.

use proxy_common::{
    country::{Country, CountrySet},
    reason::Reason,
    verdict::{Judgement, Verdict},
};

use super::rules::{CidrFlags, Rules};

/// What the tables say of an address.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// By the global layer's prefixes.
    pub(super) global: CidrFlags,
    /// By the service's own.
    pub(super) own: CidrFlags,
    /// There is a country database.
    pub(super) database: bool,
    /// Where the address is, where that is known.
    pub(super) country: Option<Country>,
}

impl Seen {
    /// Of an address that others stand behind: it is never exempt from country rules.
    const fn not_exempt(self) -> Self {
        let (global, own) = (self.global.without(CidrFlags::EXEMPT), self.own);
        Self { global, own, ..self }
    }
}

/// All that is to be known at a service of an address.
pub(super) fn verdict(global: &Rules, own: &Rules, seen: Seen) -> Verdict {
    let must_introduce = own.has(Rules::PROXIES) && seen.own.has(CidrFlags::PROXY);
    let client = judge(global, own, seen);
    Verdict::new(client, judge(global, own, seen.not_exempt()), must_introduce)
}

/// Judges by the global layer and the service's own; both must pass (SPEC 3).
fn judge(global: &Rules, own: &Rules, seen: Seen) -> Judgement {
    if seen.global.has(CidrFlags::NEVER_DENY) {
        return Judgement::default();
    }
    let place = Place {
        exempt: seen.global.has(CidrFlags::EXEMPT),
        database: seen.database,
        country: seen.country,
    };
    let first = layer(global, seen.global, place);
    let second = layer(own, seen.own, place);
    let denied = enforced(global, first).or(enforced(own, second));
    let asked = global.asks_country() || own.asks_country();
    Judgement {
        denied,
        observed: if denied.is_some() { None } else { first.or(second) },
        country_exempt: denied.is_none() && asked && place.exempt,
    }
}

fn enforced(rules: &Rules, denial: Option<Reason>) -> Option<Reason> {
    if rules.has(Rules::OBSERVE) { None } else { denial }
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
    /// Country rules deny: nobody can say where the address is.
    fn is_unknowable(self) -> bool {
        !self.exempt && !self.database
    }

    fn is_in(self, set: &CountrySet) -> bool {
        self.country.is_some_and(|country| set.contains(country))
    }
}

fn layer(rules: &Rules, cidr: CidrFlags, place: Place) -> Option<Reason> {
    if rules.has(Rules::MATCH_ANY) {
        match_any(rules, cidr, place)
    } else {
        match_all(rules, cidr, place)
    }
}

fn match_all(rules: &Rules, cidr: CidrFlags, place: Place) -> Option<Reason> {
    if rules.has(Rules::ALLOWED_CIDRS) && !cidr.has(CidrFlags::ALLOWED) {
        return Some(Reason::IpRestricted);
    }
    if cidr.has(CidrFlags::BLOCKED) {
        return Some(Reason::IpRestricted);
    }
    if rules.asks_country() && place.is_unknowable() {
        return Some(Reason::GeoUnavailable);
    }
    if rules.has(Rules::ALLOWED_COUNTRIES) && !in_allowed(rules, place) {
        return Some(Reason::CountryRestricted);
    }
    in_blocked(rules, place).then_some(Reason::CountryRestricted)
}

fn match_any(rules: &Rules, cidr: CidrFlags, place: Place) -> Option<Reason> {
    if cidr.has(CidrFlags::BLOCKED) {
        return Some(Reason::IpRestricted);
    }
    if rules.has(Rules::BLOCKED_COUNTRIES) {
        if place.is_unknowable() {
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
        if place.is_unknowable() {
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

fn in_allowed(rules: &Rules, place: Place) -> bool {
    place.exempt || place.is_in(&rules.allowed_countries)
}

fn in_blocked(rules: &Rules, place: Place) -> bool {
    !place.exempt && place.is_in(&rules.blocked_countries)
}
