//! The flow maps, seen from the daemon.

use std::os::fd::AsFd;

use aya::maps::{HashMap, IterableMap, MapData, MapError};
use proxy_common::{
    address::{FlowKey, PROTOCOL_UDP},
    flow::{FlowId, FlowState},
    udp::Question,
};

use super::{DatapathError, bpf, error::absent_is_removed, raw::Raw};

type FlowMap = HashMap<MapData, Raw<FlowKey>, Raw<FlowState>>;

/// The established TCP flows, the UDP flows, and those that are in no flow's place any more
/// and have no record yet.
pub struct Flows {
    pub(super) tcp: FlowMap,
    pub(super) udp: FlowMap,
    pub(super) parked: HashMap<MapData, Raw<FlowId>, Raw<FlowState>>,
    pub(super) questions: HashMap<MapData, Raw<FlowKey>, Raw<Question>>,
}

impl Flows {
    /// For how many flows of TCP there is room, and for as many of UDP: what the maps
    /// were made for.
    pub fn capacity(&self) -> Result<u32, DatapathError> {
        Ok(self.tcp.map().info()?.max_entries())
    }

    /// The state of a 5-tuple's flow.
    pub fn get(&self, key: &FlowKey) -> Result<Option<FlowState>, DatapathError> {
        let map = if is_udp(key) { &self.udp } else { &self.tcp };
        match map.get(&Raw(*key), 0) {
            Ok(Raw(state)) => Ok(Some(state)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Every flow. One that comes or goes meanwhile may be missed or seen twice.
    pub fn all(&self) -> impl Iterator<Item = (FlowKey, FlowState)> {
        let parked = self.parked.iter().filter_map(Result::ok);
        let parked = parked.map(|(Raw(id), Raw(state))| (id, replaced(state)));
        // A daemon that was killed within `take` leaves both.
        let parked = parked
            .filter(|(id, _)| !self.is_in_place(id).unwrap_or(false))
            .map(|(id, state)| (id.key, state));
        let placed = self.tcp.iter().chain(self.udp.iter()).filter_map(Result::ok);
        placed.map(|(Raw(key), Raw(state))| (key, state)).chain(parked)
    }

    /// Removes a flow whose record is committed; not one that took its place. Gives what
    /// was in the 5-tuple's place.
    pub fn remove(&mut self, flow: &FlowId) -> Result<Option<FlowState>, DatapathError> {
        let placed = self.get(&flow.key)?.filter(|state| state.started == flow.started);
        if placed.is_some() {
            let map = if is_udp(&flow.key) { &mut self.udp } else { &mut self.tcp };
            absent_is_removed(map.remove(&Raw(flow.key)))?;
        }
        if placed.is_none() || is_udp(&flow.key) {
            absent_is_removed(self.parked.remove(&Raw(*flow)))?;
        }
        Ok(placed)
    }

    /// Ends a 5-tuple's UDP flow: its last state, which stays with [`Self::all`] as that of
    /// an ended flow until [`Self::remove`]. The next datagram of its client's begins
    /// another, and nothing that the host still sends lets the client in.
    ///
    /// What is counted until it is out of the map is in the state; a program that holds
    /// the entry at that very moment may add a datagram to it which is not.
    ///
    /// # Errors
    /// Where there is no room to keep the state, the flow goes on. Where the kernel fails
    /// after that, [`Self::all`] has it.
    pub fn take(&mut self, key: &FlowKey) -> Result<Option<FlowState>, DatapathError> {
        if !is_udp(key) {
            return Ok(None);
        }
        let Some(seen) = self.get(key)? else { return Ok(None) };
        if !seen.has(FlowState::RELAYED) {
            self.questions.insert(Raw(*key), Raw(Question::NONE), 0)?;
        }
        let id = Raw(FlowId { key: *key, started: seen.started });
        self.parked.insert(id, Raw(seen), 0)?;
        let map = IterableMap::map(&self.udp).fd().as_fd();
        let taken: Option<Raw<FlowState>> =
            bpf::take_element(map, &Raw(*key)).map_err(|source| DatapathError::System {
                call: "bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM)",
                source,
            })?;
        let Raw(last) = taken.unwrap_or(Raw(seen));
        self.parked.insert(id, Raw(last), 0)?;
        Ok(Some(last))
    }

    /// Whether a flow is where its 5-tuple's flow is.
    fn is_in_place(&self, flow: &FlowId) -> Result<bool, DatapathError> {
        Ok(self.get(&flow.key)?.is_some_and(|state| state.started == flow.started))
    }
}

fn is_udp(key: &FlowKey) -> bool {
    key.protocol == u32::from(PROTOCOL_UDP)
}

/// A flow whose place is taken has ended, however it did.
fn replaced(mut state: FlowState) -> FlowState {
    state.flags |= FlowState::ENDED;
    state
}
