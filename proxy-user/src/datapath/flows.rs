//! The flow map, seen from the daemon.

use aya::maps::{HashMap, MapData, MapError};
use proxy_common::{address::FlowKey, flow::FlowState};

use super::{DatapathError, raw::Raw};
use crate::record::FlowId;

/// The established flows.
pub struct Flows {
    map: HashMap<MapData, Raw<FlowKey>, Raw<FlowState>>,
}

impl Flows {
    pub(super) fn new(map: HashMap<MapData, Raw<FlowKey>, Raw<FlowState>>) -> Self {
        Self { map }
    }

    /// One flow's state.
    pub fn get(&self, key: &FlowKey) -> Result<Option<FlowState>, DatapathError> {
        match self.map.get(&Raw(*key), 0) {
            Ok(Raw(state)) => Ok(Some(state)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Every flow. One that comes or goes meanwhile may be missed or seen twice.
    pub fn all(&self) -> impl Iterator<Item = (FlowKey, FlowState)> {
        self.map.iter().filter_map(Result::ok).map(|(Raw(key), Raw(state))| (key, state))
    }

    /// Removes a flow whose record is committed; not one that took its place.
    pub fn remove(&mut self, flow: &FlowId) -> Result<(), DatapathError> {
        match self.get(&flow.key)? {
            Some(state) if state.started == flow.started => match self.map.remove(&Raw(flow.key)) {
                Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
                Err(error) => Err(error.into()),
            },
            _ => Ok(()),
        }
    }
}
