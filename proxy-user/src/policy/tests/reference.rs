//! The compiled policy against a reference that is written straight from SPEC 3,
//! on the lists themselves.

use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;
use proxy_common::{country::Country, reason::Reason, verdict::Judgement};

use super::strategy::{Input, address, input, probes};
use crate::{
    config::{Access, AccessMode, Matching},
    geo::Database,
    policy::compile,
};

fn holds(nets: &[IpNet], address: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&address))
}

struct Client {
    address: IpAddr,
    exempt: bool,
    database: bool,
    country: Option<Country>,
}

fn reference_layer(access: &Access, client: &Client) -> Option<Reason> {
    let allowed = access.allowed_cidrs.as_ref().map(|nets| holds(nets, client.address));
    let blocked = holds(&access.blocked_cidrs, client.address);
    let lists_countries = access.asks_country();
    let in_allowed = access
        .allowed_countries
        .map(|set| client.exempt || client.country.is_some_and(|country| set.contains(country)));
    let in_blocked = !client.exempt
        && client.country.is_some_and(|country| access.blocked_countries.contains(country));
    let unavailable = !client.exempt && !client.database;
    match access.matching {
        Matching::All => {
            if allowed == Some(false) || blocked {
                Some(Reason::IpRestricted)
            } else if lists_countries && unavailable {
                Some(Reason::GeoUnavailable)
            } else if in_allowed == Some(false) || in_blocked {
                Some(Reason::CountryRestricted)
            } else {
                None
            }
        }
        Matching::Any => {
            if blocked {
                return Some(Reason::IpRestricted);
            }
            if !access.blocked_countries.is_empty() {
                if unavailable {
                    return Some(Reason::GeoUnavailable);
                }
                if in_blocked {
                    return Some(Reason::CountryRestricted);
                }
            }
            if allowed == Some(true) {
                return None;
            }
            if in_allowed.is_some() && unavailable {
                return Some(Reason::GeoUnavailable);
            }
            match (allowed, in_allowed) {
                (None, None) | (_, Some(true)) => None,
                (Some(_), _) => Some(Reason::IpRestricted),
                (None, Some(false)) => Some(Reason::CountryRestricted),
            }
        }
    }
}

/// Denied, and observed where not denied.
fn reference(input: &Input, geo: Option<&Database>, address: IpAddr) -> [Option<Reason>; 2] {
    let global = &input.config.global;
    if holds(&global.never_deny, address) {
        return [None, None];
    }
    let client = Client {
        address,
        exempt: holds(&global.country_exempt, address) && !input.gateways.contains(&address),
        database: geo.is_some(),
        country: geo.and_then(|geo| geo.country(address)),
    };
    let layers = [&global.access, &input.config.services[0].access];
    let reasons = layers.map(|access| (access.mode, reference_layer(access, &client)));
    let of = |mode| reasons.iter().filter(|(m, _)| *m == mode).find_map(|(_, reason)| *reason);
    match of(AccessMode::Enforce) {
        Some(denied) => [Some(denied), None],
        None => [None, of(AccessMode::Observe)],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_policy_says_what_the_lists_say(input in input(), more in prop::collection::vec(address(), 20)) {
        let geo = input.database();
        let policy = compile(&input.config, geo.clone(), &input.gateways, None).unwrap();
        for address in probes(&input).into_iter().chain(more) {
            let judgement = policy.judge("s", address);
            let expected = reference(&input, geo.as_deref(), address);
            prop_assert_eq!([judgement.denied, judgement.observed], expected, "{}", address);

            let explained = policy.explain(Some("s"), address).unwrap();
            prop_assert_eq!(explained.allowed(), expected[0].is_none());
            if let Some(reason) = expected[0] {
                let told = format!("-> {}", reason.as_str());
                let enforced = |line: &&String| !line.ends_with("only observed") && line.contains("->");
                let because = &explained.answers[0].because;
                let first = because.iter().find(enforced);
                prop_assert!(first.is_some_and(|line| line.ends_with(&told)), "{}: {:?}", address, because);
            } else {
                let denies = |line: &String| line.contains("->") && !line.ends_with("only observed");
                prop_assert!(!explained.answers[0].because.iter().any(denies), "{}", explained);
            }
        }
    }

    #[test]
    fn the_kernel_admits_listed_proxies_and_judges_everyone_else(input in input()) {
        let policy = compile(&input.config, input.database(), &input.gateways, None).unwrap();
        for address in probes(&input) {
            let admitted = policy.verdict("s", address).peer();
            let proxies = &input.config.services[0].proxy_protocol.accept_from;
            let listed = holds(proxies, address);
            let expected = if listed { Judgement::default() } else { policy.judge("s", address) };
            prop_assert_eq!(admitted, expected, "{}", address);
        }
    }

    #[test]
    fn mapped_addresses_are_what_they_hold(input in input(), bits in any::<u32>()) {
        let policy = compile(&input.config, input.database(), &input.gateways, None).unwrap();
        let v4 = std::net::Ipv4Addr::from(bits);
        prop_assert_eq!(policy.judge("s", v4.into()), policy.judge("s", v4.to_ipv6_mapped().into()));
    }
}
