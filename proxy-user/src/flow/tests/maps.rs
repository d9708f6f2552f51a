//! The kernel's maps of flows, to simulate with.

use std::{
    collections::{BTreeMap, HashMap},
    ops::{Deref, DerefMut},
};

use proxy_common::{address::FlowKey, flow::FlowState};

use crate::{flow::FlowTable, record::FlowId};

/// Flows by 5-tuple, and those that have no place any more.
#[derive(Debug, Default)]
pub(super) struct Flows {
    placed: HashMap<FlowKey, FlowState>,
    /// Flows that have no place any more.
    pub(super) parked: BTreeMap<FlowId, FlowState>,
}

impl Deref for Flows {
    type Target = HashMap<FlowKey, FlowState>;

    fn deref(&self) -> &Self::Target {
        &self.placed
    }
}

impl DerefMut for Flows {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.placed
    }
}

impl FlowTable for Flows {
    fn get(&self, key: &FlowKey) -> Option<FlowState> {
        self.placed.get(key).copied()
    }

    fn all(&self) -> impl Iterator<Item = (FlowKey, FlowState)> {
        let replaced = |(flow, state): (&FlowId, &FlowState)| {
            (flow.key, FlowState { flags: state.flags | FlowState::ENDED, ..*state })
        };
        let parked = self.parked.iter().filter(|(flow, _)| !self.is_in_place(flow)).map(replaced);
        self.placed.iter().map(|(key, state)| (*key, *state)).chain(parked)
    }

    fn take(&mut self, key: &FlowKey) -> Option<FlowState> {
        let state = self.half_take(key)?;
        self.placed.remove(key);
        Some(state)
    }
}

impl Flows {
    /// What a daemon has done that is killed while it takes a flow.
    pub(super) fn half_take(&mut self, key: &FlowKey) -> Option<FlowState> {
        let state = *self.placed.get(key)?;
        self.parked.insert(FlowId { key: *key, started: state.started }, state);
        Some(state)
    }

    fn is_in_place(&self, flow: &FlowId) -> bool {
        self.placed.get(&flow.key).is_some_and(|state| state.started == flow.started)
    }

    pub(super) fn delete(&mut self, flow: &FlowId) {
        if self.is_in_place(flow) {
            self.placed.remove(&flow.key);
        }
        self.parked.remove(flow);
    }
}
