//! What databases say, in each schema, and what their prefixes say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use proxy_common::country::{Country, CountrySet};
use weir_tests::mmdb::{Place, Schema, build};

use super::{BUILT, bytes, germany, open};
use crate::geo::GeoError;

fn code(country: Option<Country>) -> String {
    country.map_or_else(|| "-".into(), |country| country.to_string())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn every_schema_yields_countries() {
    for schema in [Schema::City, Schema::Country, Schema::Flat] {
        let places =
            [("198.51.100.0/24", Place::country("DE")), ("2001:db8::/32", Place::country("FR"))];
        let database = open(&bytes(schema, &places)).unwrap();
        assert_eq!(code(database.country(ip("198.51.100.77"))), "DE", "{schema:?}");
        assert_eq!(code(database.country(ip("::ffff:198.51.100.77"))), "DE");
        assert_eq!(code(database.country(ip("2001:db8:1::1"))), "FR");
        assert_eq!(code(database.country(ip("203.0.113.1"))), "-");
        assert_eq!(database.built().0, 1_700_000_000_000);
    }
}

#[test]
fn cities_are_told_and_registered_countries_are_not() {
    let place = Place {
        country: None,
        registered: Some("US"),
        city: Some("Berlin"),
        subdivision: Some("BE"),
    };
    let places = [("198.51.100.0/24", place), ("203.0.113.0/24", Place::country("FR"))];
    let location = open(&bytes(Schema::City, &places)).unwrap().locate(ip("198.51.100.7"));
    assert_eq!(location.country, None);
    assert_eq!((location.city.as_str(), location.subdivision.as_str()), ("Berlin", "BE"));
}

#[test]
fn a_database_without_countries_is_refused_by_its_schema() {
    let error = open(&bytes(Schema::Asn, &[("198.51.100.0/24", Place::default())])).err().unwrap();
    assert!(matches!(&error, GeoError::NoCountry { schema, .. } if schema == "Weir-Test-Asn"));
}

#[test]
fn no_file_and_no_database_are_told_apart() {
    assert!(matches!(open(b"no database"), Err(GeoError::Damaged { .. })));
    let nowhere = crate::geo::Database::open("/nonexistent/geo.mmdb".as_ref());
    assert!(matches!(nowhere, Err(GeoError::Read { .. })));
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![Just("DE"), Just("FR"), Just("US")].prop_map(Place::country)
}

fn net() -> impl Strategy<Value = IpNet> {
    let v4 = (any::<u32>(), 0u8..=32).prop_map(|(bits, length)| {
        IpNet::from(Ipv4Net::new(Ipv4Addr::from(bits), length).unwrap().trunc())
    });
    // Low addresses, 6to4 and mapped ones are where families could meet.
    let high = prop_oneof![
        any::<u128>(),
        any::<u32>().prop_map(u128::from),
        any::<u32>().prop_map(|low| 0xffff << 32 | u128::from(low)),
        any::<u32>().prop_map(|low| 0x2002 << 112 | u128::from(low) << 80),
    ];
    let v6 = (high, 0u8..=128).prop_map(|(bits, length)| {
        IpNet::from(Ipv6Net::new(Ipv6Addr::from(bits), length).unwrap().trunc())
    });
    prop_oneof![v4, v6]
}

fn near(net: &IpNet, offset: u128) -> IpAddr {
    match net {
        IpNet::V4(net) => {
            let low = u32::try_from(offset & 0xffff_ffff).unwrap();
            Ipv4Addr::from(u32::from(net.network()).wrapping_add(low)).into()
        }
        IpNet::V6(net) => Ipv6Addr::from(u128::from(net.network()).wrapping_add(offset)).into(),
    }
}

proptest! {
    /// The kernel judges by the prefixes, userspace by the database.
    #[test]
    fn prefixes_say_what_the_database_says(
        places in prop::collection::vec((net(), place()), 1..12),
        probes in prop::collection::vec((any::<prop::sample::Index>(), any::<u128>(), 0u32..120), 40),
        both in any::<bool>(),
    ) {
        let database = open(&build(Schema::Country, &places, BUILT)).unwrap();
        let mut wanted = CountrySet::EMPTY;
        wanted.insert(Country::from_code(b"DE").unwrap());
        if both {
            wanted.insert(Country::from_code(b"FR").unwrap());
        }
        let prefixes = database.prefixes_of(&wanted);
        for (index, offset, shift) in probes {
            let (net, _) = index.get(&places);
            let address = near(net, offset >> shift).to_canonical();
            let holders: Vec<_> =
                prefixes.iter().filter(|(prefix, _)| prefix.contains(&address)).collect();
            prop_assert!(holders.len() <= 1, "{address}: {holders:?}");
            let expected = database.country(address).filter(|country| wanted.contains(*country));
            prop_assert_eq!(holders.first().map(|(_, country)| *country), expected, "{}", address);
        }
    }

    #[test]
    fn damage_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), cut in any::<prop::sample::Index>()) {
        let mut bytes = germany();
        for (index, value) in changes {
            *index.get_mut(&mut bytes) = value;
        }
        let mut everything = CountrySet::EMPTY;
        everything.insert(Country::from_code(b"DE").unwrap());
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(database) = open(bytes) {
                database.locate(ip("198.51.100.7"));
                database.prefixes_of(&everything);
            }
        }
    }
}
