//! The tables against the prefixes that they are made of, address by address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};
use proptest::prelude::*;
use proxy_common::country::Country;

use super::strategy::{address, middle, net};
use crate::policy::{CidrFlags, Classes, Excess, Layer, Rules, union::union};

/// A layer that blocks these.
fn blocking(nets: impl IntoIterator<Item = IpNet>) -> Layer {
    let cidrs = nets.into_iter().map(|net| (net, CidrFlags::BLOCKED)).collect();
    Layer { rules: Rules::OPEN, cidrs: union(cidrs) }
}

/// `2001:db8::`
const DOCUMENTATION: u128 = 0x2001_0db8 << 96;

fn host4(number: u32) -> IpNet {
    IpAddr::from(Ipv4Addr::from(number)).into()
}

fn host6(number: u128) -> IpNet {
    IpAddr::from(Ipv6Addr::from(number)).into()
}

fn tables(layers: &[Layer]) -> Classes {
    Classes::of(&Layer::OPEN, layers, None).unwrap()
}

fn is_blocked(classes: &Classes, service: usize, address: IpAddr) -> bool {
    classes.verdict(service, &address.into()).client().denied.is_some()
}

fn next(address: IpAddr, step: i8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4).wrapping_add_signed(step.into())).into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6).wrapping_add_signed(step.into())).into(),
    }
}

/// Where prefixes begin and end, beside that and in between.
fn probes(nets: &[IpNet]) -> Vec<IpAddr> {
    nets.iter()
        .flat_map(|net| {
            let (first, last) = (net.network(), net.broadcast());
            [
                first,
                last,
                middle(net),
                next(first, -1),
                next(first, 1),
                next(last, -1),
                next(last, 1),
            ]
        })
        .collect()
}

fn must_agree(nets: &[IpNet]) {
    let classes = tables(&[blocking(nets.iter().copied())]);
    for address in probes(nets) {
        let expected = nets.iter().any(|net| net.contains(&address.to_canonical()));
        assert_eq!(is_blocked(&classes, 0, address), expected, "{address} of {nets:?}");
    }
}

fn parsed(nets: &[&str]) -> Vec<IpNet> {
    nets.iter().map(|net| net.parse().unwrap()).collect()
}

#[test]
fn every_length_of_prefix_holds_its_first_and_last_and_none_beside() {
    for length in 0..=32 {
        must_agree(&[IpNet::new("198.51.100.77".parse().unwrap(), length).unwrap().trunc()]);
        must_agree(&[IpNet::new("255.255.255.255".parse().unwrap(), length).unwrap().trunc()]);
        must_agree(&[IpNet::new("0.0.0.0".parse().unwrap(), length).unwrap()]);
    }
    for length in 0..=128 {
        must_agree(&[IpNet::new("2001:db8::8000:0:0:77".parse().unwrap(), length)
            .unwrap()
            .trunc()]);
        let last = Ipv6Addr::from(u128::MAX);
        must_agree(&[IpNet::new(last.into(), length).unwrap().trunc()]);
        must_agree(&[IpNet::new("::".parse().unwrap(), length).unwrap()]);
    }
}

#[test]
fn prefixes_beside_and_within_each_other() {
    must_agree(&parsed(&["198.51.100.0/25", "198.51.100.128/25", "198.51.101.0/24"]));
    must_agree(&parsed(&["198.51.100.0/32", "198.51.100.2/32", "198.51.100.4/32"]));
    must_agree(&parsed(&["198.50.0.0/15", "198.52.255.255/32", "198.53.0.0/32"]));
    must_agree(&parsed(&["2001:db8::/64", "2001:db8:0:1::/64", "2001:db8:0:2::1/128"]));
    must_agree(&parsed(&["2001:db8::1/128", "2001:db8::3/128", "2001:db8:0:1::/128"]));
    must_agree(&parsed(&["::/1", "8000::/128", "ffff:ffff:ffff:ffff::/65"]));
    // The families know nothing of each other.
    let classes = tables(&[blocking(parsed(&["::/0"]))]);
    assert!(!is_blocked(&classes, 0, "::ffff:198.51.100.7".parse().unwrap()));
    assert!(!is_blocked(&classes, 0, "198.51.100.7".parse().unwrap()));
    let classes = tables(&[blocking(parsed(&["0.0.0.0/0"]))]);
    assert!(is_blocked(&classes, 0, "::ffff:198.51.100.7".parse().unwrap()));
    assert!(!is_blocked(&classes, 0, "2001:db8::1".parse().unwrap()));
}

/// Every second address of a /16: as many ranges as there can be, for each step of a search.
#[test]
fn a_full_slash_16() {
    let nets: Vec<IpNet> = (0..1 << 15).map(|n| host4(0xc633_0000 | (2 * n))).collect();
    let classes = tables(&[blocking(nets.iter().copied())]);
    assert_eq!(classes.size().ranges4, 65_537);
    for lower in 0..1 << 16 {
        let address = Ipv4Addr::from(0xc633_0000 | lower);
        assert_eq!(is_blocked(&classes, 0, address.into()), lower % 2 == 0, "{address}");
    }
}

/// As many ranges around a leaf's and a node's size as may go wrong, and several levels.
#[test]
fn trees_of_every_small_size_and_a_large_one() {
    let nets = |count: u128| -> Vec<IpNet> {
        let nth = |n| Ipv6Net::new(Ipv6Addr::from(DOCUMENTATION | (n << 65)), 64).unwrap();
        (0..count).map(|n| nth(n).into()).collect()
    };
    for count in 0..200 {
        must_agree(&nets(count));
    }
    let many = nets(100_000);
    let classes = tables(&[blocking(many.iter().copied())]);
    for net in many.iter().step_by(37) {
        assert!(is_blocked(&classes, 0, net.network()) && is_blocked(&classes, 0, net.broadcast()));
        assert!(!is_blocked(&classes, 0, next(net.network(), -1)));
        assert!(!is_blocked(&classes, 0, next(net.broadcast(), 1)));
    }
}

/// More addresses of one /64 than a chunk has words.
#[test]
fn a_crowded_slash_64() {
    let nets: Vec<IpNet> = (0..20_000).map(|n| host6(DOCUMENTATION | (n * 7))).collect();
    let classes = tables(&[blocking(nets)]);
    for lower in 0..140_000 {
        let address = Ipv6Addr::from(DOCUMENTATION | lower);
        assert_eq!(is_blocked(&classes, 0, address.into()), lower % 7 == 0, "{address}");
    }
    assert!(!is_blocked(&classes, 0, "2001:db8:0:1::".parse().unwrap()));
}

#[test]
fn equal_services_share_verdicts_and_neighbours_of_one_class_a_range() {
    let one = || blocking(parsed(&["198.51.100.0/25", "198.51.100.128/25"]));
    let classes = tables(&[one(), one(), Layer::OPEN]);
    assert_eq!(classes.verdicts_of(0), classes.verdicts_of(1));
    assert_ne!(classes.verdicts_of(0), classes.verdicts_of(2));
    assert_eq!((classes.size().ranges4, classes.size().classes), (3, 2));
}

#[test]
fn more_classes_than_have_a_number_are_refused() {
    // Each of 17 services blocks every address whose number has its bit.
    let layer = |bit: u32| blocking((0..1 << 17).filter(move |n| n >> bit & 1 == 1).map(host4));
    let layers: Vec<Layer> = (0..17).map(layer).collect();
    let error = Classes::of(&Layer::OPEN, &layers, None).err().unwrap();
    assert_eq!(error, Excess::Classes);
    assert_eq!(tables(&layers[..16]).size().classes, 1 << 16);
}

#[test]
fn lists_that_overlap_in_too_many_ways_are_refused() {
    // Addresses as above, and many a list that says something of its own.
    let coded = |bit: u32| blocking((0..1 << 16).filter(move |n| n >> bit & 1 == 1).map(host4));
    let single = |n: u32| blocking([host4(1 << 30 | n)]);
    let layers: Vec<Layer> = (0..16).map(coded).chain((0..600).map(single)).collect();
    let error = Classes::of(&Layer::OPEN, &layers, None).err().unwrap();
    assert!(matches!(error, Excess::Overlaps { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn tables_say_what_the_longest_prefix_of_each_layer_says(
        lists in prop::collection::vec(prop::collection::vec(net(), 0..40), 1..5),
        more in prop::collection::vec(address(), 20),
    ) {
        let layers: Vec<Layer> = lists.iter().map(|nets| blocking(nets.iter().copied())).collect();
        let classes = tables(&layers);
        let all: Vec<IpNet> = lists.concat();
        for address in probes(&all).into_iter().chain(more) {
            for (service, nets) in lists.iter().enumerate() {
                let expected = nets.iter().any(|net| net.contains(&address.to_canonical()));
                prop_assert_eq!(is_blocked(&classes, service, address), expected, "{}", address);
            }
        }
    }

    #[test]
    fn tables_say_where_an_address_is(
        places in prop::collection::btree_map(any::<u16>(), 0..u16::from(b'Z' - b'A'), 0..100),
        more in prop::collection::vec(address(), 20),
    ) {
        // Disjoint: the /16s of one family, and as many /32s of the other.
        let country = |number: u16| Country::from_number(number).unwrap();
        let located: Vec<(IpNet, Country)> = places
            .iter()
            .flat_map(|(upper, number)| {
                let v4 = IpNet::new(Ipv4Addr::from(u32::from(*upper) << 16).into(), 16).unwrap();
                let v6 = Ipv6Addr::from(0x2001 << 112 | u128::from(*upper) << 96);
                let v6 = IpNet::new(v6.into(), 32).unwrap();
                [(v4, country(*number)), (v6, country(*number))]
            })
            .collect();
        // A service for each country.
        let layers: Vec<Layer> = (0..26)
            .map(|number| {
                let mut rules = Rules { flags: Rules::ALLOWED_COUNTRIES, ..Rules::OPEN };
                rules.allowed_countries.insert(country(number));
                Layer { rules, cidrs: Vec::new() }
            })
            .collect();
        let classes = Classes::of(&Layer::OPEN, &layers, Some(&located)).unwrap();
        let nets: Vec<IpNet> = located.iter().map(|(net, _)| *net).collect();
        for address in probes(&nets).into_iter().chain(more) {
            let place = located.iter().find(|(net, _)| net.contains(&address.to_canonical()));
            for number in 0..26 {
                let allowed = place.is_some_and(|(_, known)| *known == country(number));
                prop_assert_eq!(is_blocked(&classes, number.into(), address), !allowed, "{}", address);
            }
        }
    }
}
