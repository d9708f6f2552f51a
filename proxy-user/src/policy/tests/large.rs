//! Large lists, and tables that are kept.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use proxy_common::{
    country::{Country, CountrySet},
    policy::CidrFlags,
};

use super::strategy::{Input, config};
use crate::{
    config::{Access, GlobalAccess},
    policy::{TableIds, compile, union::union},
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
    let policy = compile(&config(global(), own), None, &[], &mut TableIds::from(1), None);
    assert_eq!(policy.cidrs().len(), 100_000);
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
fn a_country_table_is_kept_while_database_and_countries_are() {
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
    let mut ids = TableIds::from(7);
    let first = compile(&input.config, geo.clone(), &[], &mut ids, None);
    let kept = compile(&input.config, geo.clone(), &[], &mut ids, Some(&first));
    let id = |policy: &crate::policy::Policy| policy.countries().map(|(id, _)| id);
    assert_eq!(id(&first), id(&kept));
    let reloaded = compile(&input.config, again, &[], &mut ids, Some(&kept));
    assert_ne!(id(&reloaded), id(&kept), "another database");
    let other = compile(&germany("FR"), geo.clone(), &[], &mut ids, Some(&kept));
    assert_ne!(id(&other), id(&kept), "other countries");
    let without = compile(&input.config, None, &[], &mut ids, Some(&kept));
    assert_eq!(id(&without), None);
}
