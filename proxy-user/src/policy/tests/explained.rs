//! What people read.

use proxy_common::country::{Country, CountrySet};

use super::strategy::{Input, config};
use crate::{
    config::{Access, GlobalAccess, Matching},
    policy::{Policy, compile},
};

/// `allow = ["DE", "203.0.113.7"]`, with the defaults of private addresses.
fn ssh() -> Policy {
    let mut set = CountrySet::EMPTY;
    set.insert(Country::from_code(b"DE").unwrap());
    let own = Access {
        matching: Matching::Any,
        allowed_cidrs: Some(vec!["203.0.113.7/32".parse().unwrap()]),
        allowed_countries: Some(set),
        blocked_cidrs: vec!["198.51.100.128/25".parse().unwrap()],
        ..Access::OPEN
    };
    let global = GlobalAccess {
        access: Access::OPEN,
        country_exempt: vec!["10.0.0.0/8".parse().unwrap()],
        never_deny: vec!["192.0.2.0/24".parse().unwrap()],
    };
    let input = Input {
        config: config(global, own),
        places: Some(vec![
            ("198.51.100.0/24".parse().unwrap(), "DE"),
            ("203.0.113.0/24".parse().unwrap(), "FR"),
        ]),
        gateways: vec!["10.0.0.1".parse().unwrap()],
    };
    compile(&input.config, input.database(), &input.gateways, None).unwrap()
}

fn told(address: &str) -> String {
    ssh().explain(None, address.parse().unwrap()).unwrap().to_string()
}

#[test]
fn each_answer_names_its_rule() {
    let head = |place: &str| format!("{place}; database of 1970-01-01T00:00:01.000Z)\n");
    let open = "  global_access: has no restrictions\n";
    let rows = [
        (
            "198.51.100.7",
            head("198.51.100.7 (DE")
                + "s: allowed\n"
                + open
                + "  service s: allowed_countries has DE\n",
        ),
        (
            "198.51.100.200",
            head("198.51.100.200 (DE")
                + "s: denied, ip_restricted\n"
                + open
                + "  service s: blocked_cidrs has 198.51.100.128/25 -> ip_restricted\n",
        ),
        (
            "203.0.113.7",
            head("203.0.113.7 (FR")
                + "s: allowed\n"
                + open
                + "  service s: allowed_cidrs has 203.0.113.7/32\n",
        ),
        (
            "203.0.113.8",
            head("203.0.113.8 (FR")
                + "s: denied, ip_restricted\n"
                + open
                + "  service s: is in none of allowed_cidrs, and FR not in allowed_countries -> ip_restricted\n",
        ),
        (
            "10.0.0.7",
            head("10.0.0.7 (country unknown")
                + "  country_exempt_cidrs has 10.0.0.0/8: country rules do not apply\ns: allowed\n"
                + open
                + "  service s: exempt from country rules\n",
        ),
        (
            "10.0.0.1",
            head("10.0.0.1 (country unknown")
                + "  the address of a default gateway: never exempt from country rules\ns: denied, ip_restricted\n"
                + open
                + "  service s: is in none of allowed_cidrs, and an unknown country not in allowed_countries -> ip_restricted\n",
        ),
        (
            "192.0.2.9",
            head("192.0.2.9 (country unknown")
                + "  never_deny_cidrs has 192.0.2.0/24: nothing denies it\ns: allowed\n",
        ),
    ];
    for (address, expected) in rows {
        assert_eq!(told(address), expected);
    }
}

#[test]
fn an_unknown_service_has_no_answer() {
    assert!(ssh().explain(Some("nobody"), "10.0.0.1".parse().unwrap()).is_none());
}
