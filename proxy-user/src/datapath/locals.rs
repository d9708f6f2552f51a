//! The host's own prefixes in the kernel: only packets to them are judged.

use std::collections::BTreeSet;

use aya::maps::{LpmTrie, MapData, lpm_trie::Key};
use ipnet::IpNet;

use super::{DatapathError, prefixes::absent_is_removed};

/// The local prefixes. They are not of a generation: an address that comes or goes
/// changes where packets are for, not what is allowed.
pub(super) struct Locals {
    v4: LpmTrie<MapData, [u8; 4], u32>,
    v6: LpmTrie<MapData, [u8; 16], u32>,
    held: BTreeSet<IpNet>,
}

impl Locals {
    /// Reads what the maps hold.
    pub(super) fn read(
        v4: LpmTrie<MapData, [u8; 4], u32>,
        v6: LpmTrie<MapData, [u8; 16], u32>,
    ) -> Result<Self, DatapathError> {
        let mut held = BTreeSet::new();
        for key in v4.keys() {
            let key = key?;
            held.extend(prefix(key.data().into(), key.prefix_len()));
        }
        for key in v6.keys() {
            let key = key?;
            held.extend(prefix(key.data().into(), key.prefix_len()));
        }
        Ok(Self { v4, v6, held })
    }

    /// Makes the maps hold exactly these.
    pub(super) fn set(&mut self, prefixes: &[IpNet]) -> Result<(), DatapathError> {
        let wanted: BTreeSet<IpNet> = prefixes.iter().copied().collect();
        for prefix in wanted.difference(&self.held) {
            let length = u32::from(prefix.prefix_len());
            match prefix {
                IpNet::V4(net) => {
                    self.v4.insert(&Key::new(length, net.network().octets()), 1, 0)?;
                }
                IpNet::V6(net) => {
                    self.v6.insert(&Key::new(length, net.network().octets()), 1, 0)?;
                }
            }
        }
        for prefix in self.held.difference(&wanted) {
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
