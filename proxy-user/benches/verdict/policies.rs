//! Policies whose tables cannot be made smaller: what they hold makes a difference to some
//! service everywhere.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proxy_common::{
    address::PROTOCOL_TCP,
    country::{Country, CountrySet},
};
use proxy_user::{
    config::{Listen, ListenAddress},
    datapath::{Generation, ServiceEntry},
    geo::Database,
    policy::{CidrFlags, Classes, Layer, Rules},
};

use crate::Result;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn number(self) -> u8 {
        if self == Self::V4 { 4 } else { 6 }
    }

    /// The prefixes of a list: spread by a multiplicative hash over all of IPv4, or `2000::/3`;
    /// of IPv6 as lists have them, allocations, sites, networks and hosts.
    fn prefix(self, index: u32) -> Result<IpNet> {
        let spread = u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Ok(match self {
            Self::V4 => {
                let length = if index.is_multiple_of(2) { 24 } else { 28 };
                let address = Ipv4Addr::from((spread >> 32) as u32);
                Ipv4Net::new(address, length)?.trunc().into()
            }
            Self::V6 => {
                let length = [48, 56, 64, 128][index as usize % 4];
                let address = u128::from(spread >> 3 | 1 << 61) << 64 | u128::from(spread);
                Ipv6Net::new(Ipv6Addr::from(address), length)?.trunc().into()
            }
        })
    }
}

/// Every prefix of a real database.
pub(crate) struct Places {
    prefixes: Vec<(IpNet, Country)>,
}

impl Places {
    pub(crate) fn read(database: &Database) -> Self {
        let mut all = CountrySet::EMPTY;
        countries().for_each(|country| all.insert(country));
        Self { prefixes: database.prefixes_of(&all) }
    }

    pub(crate) fn count(&self) -> usize {
        self.prefixes.len()
    }
}

fn countries() -> impl Iterator<Item = Country> {
    (0..Country::COUNT).filter_map(Country::from_number)
}

/// What a policy is made of.
pub(crate) struct Input<'a> {
    layers: Vec<Layer>,
    places: Option<&'a Places>,
}

impl Input<'_> {
    pub(crate) fn compiled(&self) -> Result<Generation> {
        let places = self.places.map(|places| &*places.prefixes);
        Ok(guarded(Classes::of(&Layer::OPEN, &self.layers, places)?))
    }
}

/// A service that says of so many prefixes that it would block them, and ten others that
/// between them tell every two countries apart.
pub(crate) fn telling(family: Family, prefixes: u32, places: Option<&Places>) -> Result<Input<'_>> {
    let cidrs = (0..prefixes).map(|index| Ok((family.prefix(index)?, CidrFlags::BLOCKED)));
    let rules = Rules { flags: Rules::OBSERVE, ..Rules::OPEN };
    let mut layers = vec![Layer { rules, cidrs: cidrs.collect::<Result<_>>()? }];
    if places.is_some() {
        layers.extend((0..=Country::COUNT.ilog2()).map(|bit| {
            let mut rules = Rules { flags: Rules::BLOCKED_COUNTRIES, ..Rules::OPEN };
            let named = countries().filter(|country| country.number() >> bit & 1 == 1);
            named.for_each(|country| rules.blocked_countries.insert(country));
            Layer { rules, cidrs: Vec::new() }
        }));
    }
    Ok(Input { layers, places })
}

pub(crate) fn generation(
    family: Family,
    prefixes: u32,
    places: Option<&Places>,
) -> Result<Generation> {
    telling(family, prefixes, places)?.compiled()
}

/// A service that nobody may reach but ten prefixes, which are far from all clients.
pub(crate) fn allowing_nobody() -> Result<Generation> {
    let cidrs = (1..=5).flat_map(|n: u8| {
        let v4 = Ipv4Net::new(Ipv4Addr::new(192, 0, 2, n), 32).map(IpNet::from);
        let v6 =
            Ipv6Net::new(Ipv6Addr::new(0xfd00, 0, 0, n.into(), 0, 0, 0, 0), 64).map(IpNet::from);
        [v4, v6].into_iter().flatten().map(|net| (net, CidrFlags::ALLOWED))
    });
    let rules = Rules { flags: Rules::ALLOWED_CIDRS, ..Rules::OPEN };
    let own = Layer { rules, cidrs: cidrs.collect() };
    Ok(guarded(Classes::of(&Layer::OPEN, &[own], None)?))
}

/// Port 22, by the first service's verdicts.
fn guarded(classes: Classes) -> Generation {
    Generation {
        services: vec![ServiceEntry {
            name: "bench".to_owned(),
            transport: PROTOCOL_TCP,
            place: 0,
            listen: vec![Listen { address: ListenAddress::Any, port: 22 }],
            relayed: false,
            by_request: false,
            reset: false,
            forward: None,
        }],
        classes: classes.into(),
    }
}
