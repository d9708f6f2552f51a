//! Why a layer answers as it does, in words: the rules of SPEC 3 once more, on
//! what the configuration says. A property test holds them to the verdict.

use std::net::IpAddr;

use ipnet::IpNet;
use proxy_common::{country::Country, reason::Reason};

use crate::config::{Access, Matching};

/// What is known of an address.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) address: IpAddr,
    /// Country rules do not apply.
    pub(super) exempt: bool,
    pub(super) database: bool,
    pub(super) country: Option<Country>,
}

type Told = (Option<Reason>, String);

const NO_DATABASE: &str = "no country database is loaded";

pub(super) fn layer(access: &Access, place: &Place) -> Told {
    if !access.restricts() {
        return (None, "has no restrictions".to_owned());
    }
    match access.matching {
        Matching::All => match_all(access, place),
        Matching::Any => match_any(access, place),
    }
}

fn match_all(access: &Access, place: &Place) -> Told {
    let mut passed = Vec::new();
    if let Some(allowed) = &access.allowed_cidrs {
        match holder(allowed, place.address) {
            None => return ip("is in none of allowed_cidrs"),
            Some(net) => passed.push(format!("allowed_cidrs has {net}")),
        }
    }
    if let Some(net) = holder(&access.blocked_cidrs, place.address) {
        return ip(&format!("blocked_cidrs has {net}"));
    }
    if access.asks_country() && !place.exempt && !place.database {
        return unavailable();
    }
    if let Some(allowed) = &access.allowed_countries {
        match place.country.filter(|country| allowed.contains(*country)) {
            _ if place.exempt => passed.push(EXEMPT.to_owned()),
            Some(country) => passed.push(format!("allowed_countries has {country}")),
            None => return country_denied(&format!("{} is not in allowed_countries", name(place))),
        }
    }
    if let Some(country) = blocked_country(access, place) {
        return country_denied(&format!("blocked_countries has {country}"));
    }
    if passed.is_empty() {
        passed.push("blocks nothing of it".to_owned());
    }
    (None, passed.join(", "))
}

fn match_any(access: &Access, place: &Place) -> Told {
    if let Some(net) = holder(&access.blocked_cidrs, place.address) {
        return ip(&format!("blocked_cidrs has {net}"));
    }
    if !access.blocked_countries.is_empty() && !place.exempt {
        if !place.database {
            return unavailable();
        }
        if let Some(country) = blocked_country(access, place) {
            return country_denied(&format!("blocked_countries has {country}"));
        }
    }
    if let Some(net) = access.allowed_cidrs.as_ref().and_then(|nets| holder(nets, place.address)) {
        return (None, format!("allowed_cidrs has {net}"));
    }
    if let Some(allowed) = &access.allowed_countries {
        if place.exempt {
            return (None, EXEMPT.to_owned());
        }
        if !place.database {
            return unavailable();
        }
        if let Some(country) = place.country.filter(|country| allowed.contains(*country)) {
            return (None, format!("allowed_countries has {country}"));
        }
    }
    match (&access.allowed_cidrs, &access.allowed_countries) {
        (Some(_), None) => ip("is in none of allowed_cidrs"),
        (Some(_), Some(_)) => ip(&format!(
            "is in none of allowed_cidrs, and {} not in allowed_countries",
            name(place)
        )),
        (None, Some(_)) => country_denied(&format!("{} is not in allowed_countries", name(place))),
        (None, None) => (None, "blocks nothing of it".to_owned()),
    }
}

const EXEMPT: &str = "exempt from country rules";

fn ip(why: &str) -> Told {
    (Some(Reason::IpRestricted), why.to_owned())
}

fn country_denied(why: &str) -> Told {
    (Some(Reason::CountryRestricted), why.to_owned())
}

fn unavailable() -> Told {
    (Some(Reason::GeoUnavailable), NO_DATABASE.to_owned())
}

fn name(place: &Place) -> String {
    place.country.map_or_else(|| "an unknown country".to_owned(), |country| country.to_string())
}

fn blocked_country(access: &Access, place: &Place) -> Option<Country> {
    place.country.filter(|country| !place.exempt && access.blocked_countries.contains(*country))
}

/// The longest of `nets` that contains the address.
pub(super) fn holder(nets: &[IpNet], address: IpAddr) -> Option<IpNet> {
    let holds = nets.iter().filter(|net| net.contains(&address));
    holds.max_by_key(|net| net.prefix_len()).copied()
}
