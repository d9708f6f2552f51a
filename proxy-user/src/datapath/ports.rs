//! The ports that services listen on by protocol, a bit each: what a packet of no service costs.

use aya::maps::{Array, MapData};
use proxy_common::tables::{PORT_WORDS, port_bit};

use super::DatapathError;

/// Which ports: those that services listen on, or those of targets that see their clients'
/// own addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Services,
    Targets,
}

/// A superset of the ports in force: a bit is set before the generation that needs it,
/// and cleared a grace period after the last one that did.
pub(super) struct Ports {
    map: Array<MapData, u64>,
    words: Vec<u64>,
}

impl Ports {
    /// Takes the map over as it is.
    pub(super) fn read(map: Array<MapData, u64>) -> Result<Self, DatapathError> {
        let words = (0..2 * PORT_WORDS).map(|word| map.get(&word, 0)).collect::<Result<_, _>>()?;
        Ok(Self { map, words })
    }

    /// Adds a service's port of a protocol.
    pub(super) fn add(&mut self, protocol: u8, port: u16) -> Result<(), DatapathError> {
        let (word, bit) = port_bit(protocol, port);
        self.set(word, self.words[word as usize] | bit)
    }

    /// Keeps just these, each with its protocol.
    pub(super) fn keep(
        &mut self,
        whose: Whose,
        ports: impl Iterator<Item = (u8, u16)>,
    ) -> Result<(), DatapathError> {
        let first = if whose == Whose::Services { 0 } else { PORT_WORDS };
        let mut words = vec![0; PORT_WORDS as usize];
        for (word, bit) in ports.map(|(protocol, port)| port_bit(protocol, port)) {
            words[word as usize] |= bit;
        }
        (first..).zip(words).try_for_each(|(word, bits)| self.set(word, bits))
    }

    fn set(&mut self, word: u32, bits: u64) -> Result<(), DatapathError> {
        let known = &mut self.words[word as usize];
        if *known != bits {
            self.map.set(word, bits, 0)?;
            *known = bits;
        }
        Ok(())
    }
}
