//! The host's routes in the kernel: by them answers of targets find their clients.

use std::collections::BTreeMap;

use aya::maps::{LpmTrie, MapData};
use ipnet::IpNet;
use proxy_common::{
    address::{Address, Family},
    nat::{self, MAX_ROUTES},
};

use super::{DatapathError, by_prefix::ByPrefix, network::Route, raw::Raw};

/// The routes that the maps hold.
pub(super) struct Routes(ByPrefix<Raw<nat::Route>>);

impl Routes {
    /// Reads what the maps hold.
    pub(super) fn read(
        v4: LpmTrie<MapData, [u8; 4], Raw<nat::Route>>,
        v6: LpmTrie<MapData, [u8; 16], Raw<nat::Route>>,
    ) -> Result<Self, DatapathError> {
        ByPrefix::read(v4, v6).map(Self)
    }

    /// Makes the maps hold these, and no more of each family than there is room for: to
    /// clients beyond, answers go as to those to whom there is no route.
    pub(super) fn set(&mut self, routes: &[Route]) -> Result<(), DatapathError> {
        self.0.set(wanted(routes))
    }
}

fn wanted(routes: &[Route]) -> BTreeMap<IpNet, Raw<nat::Route>> {
    let mut wanted = BTreeMap::new();
    for is_v4 in [true, false] {
        let family = if is_v4 { Family::V4 } else { Family::V6 };
        let own = routes.iter().filter(|route| route.prefix.addr().is_ipv4() == is_v4);
        let entries = own.map(|route| {
            let next_hop =
                route.gateway.map_or_else(|| Address::unspecified(family), Address::from);
            let (interface, mtu) = (route.interface, route.mtu);
            (route.prefix, Raw(nat::Route { next_hop, interface, mtu }))
        });
        wanted.extend(entries.take(MAX_ROUTES as usize));
    }
    wanted
}
