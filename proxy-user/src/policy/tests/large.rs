//! Large lists, and tables that are kept.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use proxy_common::country::{Country, CountrySet};

use super::strategy::{Input, config};
use crate::{
    config::{Access, GlobalAccess},
    policy::{CidrFlags, Policy, compile, union::union},
};

fn global() -> GlobalAccess {
    GlobalAccess { access: Access::OPEN, country_exempt: Vec::new(), never_deny: Vec::new() }
}

#[test]
fn a_hundred_thousand_prefixes() {
    // Every second /24, and every fourth of those inside a blocked /16's /23.
    let nets: Vec<IpNet> = (0..100_000u32)
        .map(|n| Ipv4Net::new(Ipv4Addr::from(0x0100_0000 + (n << 9)), 24).unwrap().into())
        .collect();
    let own = Access { blocked_cidrs: nets, ..Access::OPEN };
    let policy = compile(&config(global(), own), None, &[], None).unwrap();
    assert_eq!(policy.classes().size().ranges4, 200_001);
    for n in (0..100_000u32).step_by(997) {
        let inside = |offset: u32| IpAddr::from(Ipv4Addr::from(0x0100_0000 + (n << 9) + offset));
        for offset in [0, 77, 128, 255] {
            assert!(policy.judge("s", inside(offset)).denied.is_some(), "{}", inside(offset));
        }
        for offset in [256, 300, 511] {
            assert!(policy.judge("s", inside(offset)).denied.is_none(), "{}", inside(offset));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_its_size_and_its_place() {
    // Of a /64 each, so that each takes four ranges.
    let host = |n: u128| Ipv6Addr::from(0x2001_0db8 << 96 | n << 65 | 7);
    let compiled = |count| {
        let hosts = (0..count).map(|n| IpAddr::from(host(n)).into()).collect();
        compile(&config(global(), Access { blocked_cidrs: hosts, ..Access::OPEN }), None, &[], None)
    };
    assert!(compiled(1_000_000).is_ok());
    assert_eq!(
        compiled(1_300_000).err().unwrap().to_string(),
        "the restrictions take 74 MiB of the kernel's memory, of at most 64: 1 ranges of IPv4 \
         addresses 0 (of at most 32), 2600001 of IPv6 74, verdicts on 2 classes of addresses 1; \
         most prefixes are in [service.s]: 1300000"
    );
}

#[test]
fn entries_carry_the_flags_of_all_around_them() {
    let net = |text: &str| text.parse::<IpNet>().unwrap();
    let merged = union(vec![
        (net("10.1.2.0/24"), CidrFlags::BLOCKED),
        (net("10.0.0.0/8"), CidrFlags::ALLOWED),
        (net("10.1.2.0/24"), CidrFlags::EXEMPT),
        (net("10.1.0.0/16"), CidrFlags::NEVER_DENY),
        (net("::/0"), CidrFlags::BLOCKED),
        (net("11.0.0.0/8"), CidrFlags::EXEMPT),
    ]);
    let wide = CidrFlags::ALLOWED.with(CidrFlags::NEVER_DENY);
    assert_eq!(
        merged,
        [
            (net("10.0.0.0/8"), CidrFlags::ALLOWED),
            (net("10.1.0.0/16"), wide),
            (net("10.1.2.0/24"), wide.with(CidrFlags::BLOCKED).with(CidrFlags::EXEMPT)),
            (net("11.0.0.0/8"), CidrFlags::EXEMPT),
            (net("::/0"), CidrFlags::BLOCKED),
        ]
    );
}

#[test]
fn what_was_read_of_a_database_is_kept_while_it_and_the_countries_are_the_same() {
    let germany = |allowed: &str| {
        let mut set = CountrySet::EMPTY;
        set.insert(Country::from_code(allowed.as_bytes()).unwrap());
        config(global(), Access { allowed_countries: Some(set), ..Access::OPEN })
    };
    let input = Input {
        config: germany("DE"),
        places: Some(vec![("198.51.100.0/24".parse().unwrap(), "DE")]),
        gateways: Vec::new(),
    };
    let (geo, again) = (input.database(), input.database());
    let compiled = |allowed: &str, geo: &Option<_>, before: Option<&Policy>| {
        compile(&germany(allowed), geo.clone(), &[], before).unwrap()
    };
    let first = compiled("DE", &geo, None);
    let kept = compiled("DE", &geo, Some(&first));
    assert!(kept.reads_the_same(&first));
    assert!(!compiled("DE", &again, Some(&kept)).reads_the_same(&kept), "another database");
    assert!(!compiled("FR", &geo, Some(&kept)).reads_the_same(&kept), "other countries");
    assert!(!compiled("DE", &None, Some(&kept)).reads_the_same(&kept), "no database");
}
