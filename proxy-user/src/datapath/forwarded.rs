//! Flows that the kernel plane forwards, seen from the daemon.

use std::net::SocketAddr;

use aya::maps::{Array, HashMap, MapData, MapError};
use proxy_common::{
    address::FlowKey,
    flow::FlowState,
    nat::{TargetSlot, Translation, of_service},
    tables::ServiceSlot,
};

use super::{DatapathError, error::absent_is_removed, raw::Raw};

/// Translations and handshakes under way.
pub struct ForwardedFlows {
    nat: HashMap<MapData, Raw<FlowKey>, Raw<Translation>>,
    dials: HashMap<MapData, Raw<FlowKey>, Raw<FlowState>>,
    sessions: SessionCounts,
}

/// Counters of sessions, see [`proxy_common::nat::SESSION_COUNTERS`].
pub(super) struct SessionCounts {
    pub(super) opened: Array<MapData, u64>,
    pub(super) closed: Array<MapData, u64>,
    pub(super) taken: Array<MapData, u64>,
}

impl ForwardedFlows {
    pub(super) fn new(
        nat: HashMap<MapData, Raw<FlowKey>, Raw<Translation>>,
        dials: HashMap<MapData, Raw<FlowKey>, Raw<FlowState>>,
        sessions: SessionCounts,
    ) -> Self {
        Self { nat, dials, sessions }
    }

    /// Every handshake under way. One that comes or goes meanwhile may be missed.
    pub fn dials(&self) -> impl Iterator<Item = (FlowKey, FlowState)> {
        let all = self.dials.iter().filter_map(Result::ok);
        all.map(|(Raw(key), Raw(state))| (key, state))
    }

    /// The handshake under way on a 5-tuple.
    pub fn dial(&self, key: &FlowKey) -> Result<Option<FlowState>, DatapathError> {
        match self.dials.get(&Raw(*key), 0) {
            Ok(Raw(state)) => Ok(Some(state)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends a handshake under way.
    pub fn drop_dial(&mut self, key: &FlowKey) -> Result<(), DatapathError> {
        absent_is_removed(self.dials.remove(&Raw(*key)))
    }

    /// How packets of this 5-tuple are translated.
    pub fn translation(&self, key: &FlowKey) -> Result<Option<Translation>, DatapathError> {
        match self.nat.get(&Raw(*key), 0) {
            Ok(Raw(translation)) => Ok(Some(translation)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// From where the target is reached, and the target.
    pub fn ends(&self, key: &FlowKey) -> Result<Option<(SocketAddr, SocketAddr)>, DatapathError> {
        let found = self.translation(key)?;
        Ok(found.map(|way| {
            let source = SocketAddr::new(way.source.into(), way.source_port);
            (source, SocketAddr::new(way.destination.into(), way.destination_port))
        }))
    }

    /// Every translation. One that comes or goes meanwhile may be missed or seen twice.
    pub fn translations(&self) -> impl Iterator<Item = (FlowKey, Translation)> {
        let all = self.nat.iter().filter_map(Result::ok);
        all.map(|(Raw(key), Raw(translation))| (key, translation))
    }

    /// Ends the translation of a flow, both ways.
    pub fn release(&mut self, key: &FlowKey) -> Result<(), DatapathError> {
        let Some(way) = self.translation(key)? else { return Ok(()) };
        absent_is_removed(self.nat.remove(&Raw(way.partner(key.protocol))))?;
        absent_is_removed(self.nat.remove(&Raw(*key)))
    }

    /// A flow that began in the kernel did not end there.
    pub fn session_taken(&mut self, flow: &FlowState) -> Result<(), DatapathError> {
        for counter in [flow.target.into(), of_service(flow.service)] {
            let taken = self.sessions.taken.get(&counter, 0)?;
            self.sessions.taken.set(counter, taken + 1, 0)?;
        }
        Ok(())
    }

    /// Sessions that a service has now.
    pub fn of_service(&self, service: ServiceSlot) -> Result<u64, DatapathError> {
        self.sessions.now(of_service(service))
    }
}

impl SessionCounts {
    /// Whether a target has sessions. One whose sessions cannot be read is taken to have.
    pub(super) fn are_at(&self, target: TargetSlot) -> bool {
        self.now(target.into()).map_or(true, |now| now > 0)
    }

    pub(super) fn now(&self, counter: u32) -> Result<u64, DatapathError> {
        // In this order: what ends meanwhile was opened before.
        let ended = self.closed.get(&counter, 0)? + self.taken.get(&counter, 0)?;
        Ok(self.opened.get(&counter, 0)?.saturating_sub(ended))
    }
}
