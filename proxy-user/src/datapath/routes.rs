//! The host's routes in the kernel: by them answers of targets find their clients.

use std::collections::BTreeMap;

use aya::maps::{LpmTrie, MapData, lpm_trie::Key};
use ipnet::IpNet;
use proxy_common::{
    address::{Address, Family},
    nat::{self, MAX_ROUTES},
};

use super::{DatapathError, network::Route, prefixes::absent_is_removed, raw::Raw};

/// The routes that the maps hold.
pub(super) struct Routes {
    v4: LpmTrie<MapData, [u8; 4], Raw<nat::Route>>,
    v6: LpmTrie<MapData, [u8; 16], Raw<nat::Route>>,
    held: BTreeMap<IpNet, nat::Route>,
}

impl Routes {
    /// Reads what the maps hold.
    pub(super) fn read(
        v4: LpmTrie<MapData, [u8; 4], Raw<nat::Route>>,
        v6: LpmTrie<MapData, [u8; 16], Raw<nat::Route>>,
    ) -> Result<Self, DatapathError> {
        let mut held = BTreeMap::new();
        for entry in &v4 {
            let (key, Raw(route)) = entry?;
            held.extend(prefix(key.data().into(), key.prefix_len()).map(|net| (net, route)));
        }
        for entry in &v6 {
            let (key, Raw(route)) = entry?;
            held.extend(prefix(key.data().into(), key.prefix_len()).map(|net| (net, route)));
        }
        Ok(Self { v4, v6, held })
    }

    /// Makes the maps hold these, and no more of each family than there is room for: to
    /// clients beyond, answers go as to those to whom there is no route.
    pub(super) fn set(&mut self, routes: &[Route]) -> Result<(), DatapathError> {
        let wanted = wanted(routes);
        for (prefix, route) in &wanted {
            if self.held.get(prefix) == Some(route) {
                continue;
            }
            let (length, route) = (prefix.prefix_len().into(), Raw(*route));
            match prefix {
                IpNet::V4(net) => {
                    self.v4.insert(&Key::new(length, net.network().octets()), route, 0)?;
                }
                IpNet::V6(net) => {
                    self.v6.insert(&Key::new(length, net.network().octets()), route, 0)?;
                }
            }
        }
        for prefix in self.held.keys().filter(|prefix| !wanted.contains_key(prefix)) {
            let length = prefix.prefix_len().into();
            absent_is_removed(match prefix {
                IpNet::V4(net) => self.v4.remove(&Key::new(length, net.network().octets())),
                IpNet::V6(net) => self.v6.remove(&Key::new(length, net.network().octets())),
            })?;
        }
        self.held = wanted;
        Ok(())
    }
}

fn wanted(routes: &[Route]) -> BTreeMap<IpNet, nat::Route> {
    let mut wanted = BTreeMap::new();
    for is_v4 in [true, false] {
        let family = if is_v4 { Family::V4 } else { Family::V6 };
        let own = routes.iter().filter(|route| route.prefix.addr().is_ipv4() == is_v4);
        let entries = own.map(|route| {
            let next_hop =
                route.gateway.map_or_else(|| Address::unspecified(family), Address::from);
            (route.prefix, nat::Route { next_hop, interface: route.interface, mtu: route.mtu })
        });
        wanted.extend(entries.take(MAX_ROUTES as usize));
    }
    wanted
}

fn prefix(address: std::net::IpAddr, length: u32) -> Option<IpNet> {
    IpNet::new(address, u8::try_from(length).ok()?).ok()
}
