//! Handshakes under way, seen from the daemon.

use aya::maps::{HashMap, MapData};
use proxy_common::{address::FlowKey, flow::FlowState, tables::MAX_HALF_OPEN};

use super::raw::Raw;

/// The map of half-open flows.
pub struct HalfOpen {
    map: HashMap<MapData, Raw<FlowKey>, Raw<FlowState>>,
}

impl HalfOpen {
    pub(super) fn new(map: HashMap<MapData, Raw<FlowKey>, Raw<FlowState>>) -> Self {
        Self { map }
    }

    /// How many there are. While they come and go it is a guess, and ends all the same.
    pub fn count(&self) -> usize {
        self.map.keys().take(MAX_HALF_OPEN as usize).flatten().count()
    }
}
