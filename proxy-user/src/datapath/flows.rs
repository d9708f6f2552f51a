//! The flow maps, seen from the daemon.

use aya::maps::{HashMap, MapData, MapError};
use proxy_common::{
    address::FlowKey,
    flow::{FlowId, FlowState},
};

use super::{DatapathError, prefixes::absent_is_removed, raw::Raw};

/// The established flows, and those whose place a new connection took.
pub struct Flows {
    map: HashMap<MapData, Raw<FlowKey>, Raw<FlowState>>,
    parked: HashMap<MapData, Raw<FlowId>, Raw<FlowState>>,
}

impl Flows {
    pub(super) fn new(
        map: HashMap<MapData, Raw<FlowKey>, Raw<FlowState>>,
        parked: HashMap<MapData, Raw<FlowId>, Raw<FlowState>>,
    ) -> Self {
        Self { map, parked }
    }

    /// The state of a 5-tuple's flow.
    pub fn get(&self, key: &FlowKey) -> Result<Option<FlowState>, DatapathError> {
        match self.map.get(&Raw(*key), 0) {
            Ok(Raw(state)) => Ok(Some(state)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Every flow. One that comes or goes meanwhile may be missed or seen twice.
    pub fn all(&self) -> impl Iterator<Item = (FlowKey, FlowState)> {
        let parked = self.parked.iter().filter_map(Result::ok);
        let parked = parked.map(|(Raw(id), Raw(state))| (id.key, replaced(state)));
        let placed = self.map.iter().filter_map(Result::ok);
        placed.map(|(Raw(key), Raw(state))| (key, state)).chain(parked)
    }

    /// Removes a flow whose record is committed; not one that took its place.
    pub fn remove(&mut self, flow: &FlowId) -> Result<(), DatapathError> {
        match self.get(&flow.key)? {
            Some(state) if state.started == flow.started => {
                absent_is_removed(self.map.remove(&Raw(flow.key)))
            }
            _ => absent_is_removed(self.parked.remove(&Raw(*flow))),
        }
    }
}

/// A flow whose place is taken has ended, however it did.
fn replaced(mut state: FlowState) -> FlowState {
    state.flags |= FlowState::ENDED;
    state
}
