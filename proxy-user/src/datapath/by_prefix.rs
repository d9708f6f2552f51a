//! What the kernel looks up by the longest prefix of an address, kept in step with the host.

use std::collections::BTreeMap;

use aya::{
    Pod,
    maps::{LpmTrie, MapData, lpm_trie::Key},
};
use ipnet::IpNet;

use super::{DatapathError, error::absent_is_removed};

/// A value for each prefix, in a map for each family.
pub(super) struct ByPrefix<V: Pod> {
    v4: LpmTrie<MapData, [u8; 4], V>,
    v6: LpmTrie<MapData, [u8; 16], V>,
    held: BTreeMap<IpNet, V>,
}

impl<V: Pod + PartialEq> ByPrefix<V> {
    /// Reads what the maps hold.
    pub(super) fn read(
        v4: LpmTrie<MapData, [u8; 4], V>,
        v6: LpmTrie<MapData, [u8; 16], V>,
    ) -> Result<Self, DatapathError> {
        let mut held = BTreeMap::new();
        for entry in &v4 {
            let (key, value) = entry?;
            held.extend(prefix(key.data().into(), key.prefix_len()).map(|net| (net, value)));
        }
        for entry in &v6 {
            let (key, value) = entry?;
            held.extend(prefix(key.data().into(), key.prefix_len()).map(|net| (net, value)));
        }
        Ok(Self { v4, v6, held })
    }

    /// Makes the maps hold exactly these.
    pub(super) fn set(&mut self, wanted: BTreeMap<IpNet, V>) -> Result<(), DatapathError> {
        for (prefix, value) in &wanted {
            if self.held.get(prefix) == Some(value) {
                continue;
            }
            let length = u32::from(prefix.prefix_len());
            match prefix {
                IpNet::V4(net) => {
                    self.v4.insert(&Key::new(length, net.network().octets()), *value, 0)?;
                }
                IpNet::V6(net) => {
                    self.v6.insert(&Key::new(length, net.network().octets()), *value, 0)?;
                }
            }
        }
        for prefix in self.held.keys().filter(|prefix| !wanted.contains_key(prefix)) {
            let length = u32::from(prefix.prefix_len());
            absent_is_removed(match prefix {
                IpNet::V4(net) => self.v4.remove(&Key::new(length, net.network().octets())),
                IpNet::V6(net) => self.v6.remove(&Key::new(length, net.network().octets())),
            })?;
        }
        self.held = wanted;
        Ok(())
    }
}

fn prefix(address: std::net::IpAddr, length: u32) -> Option<IpNet> {
    IpNet::new(address, u8::try_from(length).ok()?).ok()
}
