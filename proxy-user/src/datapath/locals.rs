//! The host's own prefixes in the kernel: only packets to them are judged.

use aya::maps::{LpmTrie, MapData};
use ipnet::IpNet;

use super::{DatapathError, by_prefix::ByPrefix};

/// The local prefixes. They are not of a generation: an address that comes or goes
/// changes where packets are for, not what is allowed.
pub(super) struct Locals(ByPrefix<u32>);

impl Locals {
    /// Reads what the maps hold.
    pub(super) fn read(
        v4: LpmTrie<MapData, [u8; 4], u32>,
        v6: LpmTrie<MapData, [u8; 16], u32>,
    ) -> Result<Self, DatapathError> {
        ByPrefix::read(v4, v6).map(Self)
    }

    /// Makes the maps hold exactly these.
    pub(super) fn set(&mut self, prefixes: &[IpNet]) -> Result<(), DatapathError> {
        self.0.set(prefixes.iter().map(|prefix| (*prefix, 1)).collect())
    }
}
