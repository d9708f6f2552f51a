//! Handshakes that the kernel plane has under way with targets: which of them come to
//! nothing, and what is recorded of them.

use std::{net::SocketAddr, time::Duration};

use proxy_common::{address::FlowKey, event::Plea, flow::FlowState, nat::TargetSlot};

use super::{FlowTable, Now, Output, Tracker, drafts, udp::is_udp};
use crate::record::{CloseReason, FlowId, KeyedMap, Origin};

/// A client that does not complete a handshake that its target answered is gone by then.
const ANSWERED_WAITS: Duration = Duration::from_mins(1);

/// What was tried for clients whose first target failed.
#[derive(Debug, Default)]
pub(super) struct Dials {
    tried: KeyedMap<FlowId, Tried>,
}

#[derive(Clone, Copy, Debug)]
struct Tried {
    /// Targets that failed.
    failed: u32,
    /// When the last of them did.
    at: u64,
    /// The last of them.
    target: TargetSlot,
    /// What the last of them did.
    error: &'static str,
}

const SILENT: &str = "the target did not answer the SYN";
const REFUSING: &str = "the target refused the connection";

/// A flow of datagrams that has been silent for so long may be ended by a stop.
const AT_REST: Duration = Duration::from_secs(1);

impl Tracker {
    /// Takes the targets that flows may be forwarded to.
    pub fn set_targets(&mut self, targets: impl IntoIterator<Item = (TargetSlot, SocketAddr)>) {
        self.targets = targets.into_iter().collect();
    }

    pub(super) fn target(&self, slot: TargetSlot) -> Option<SocketAddr> {
        self.targets.get(&slot).copied()
    }

    /// Ends the kernel plane's flows of datagrams that are at rest, or `all` of its flows:
    /// the daemon stops.
    pub fn drain_forwarded(&mut self, table: &mut impl FlowTable, all: bool, now: &Now) {
        let open =
            |state: &FlowState| state.has(FlowState::FORWARDED) && !state.has(FlowState::ENDED);
        let flows: Vec<_> = table.all().filter(|(_, state)| open(state)).collect();
        for (key, state) in flows {
            if is_udp(&key) && (all || now.since(state.last_packet) > AT_REST) {
                self.end_udp(key, CloseReason::Shutdown, table, now);
            } else if all && !is_udp(&key) {
                self.end(key, &state, CloseReason::Shutdown, now);
            }
        }
    }

    /// Looks at every handshake that is under way with a target.
    pub fn look_at_dials(
        &mut self,
        dials: impl IntoIterator<Item = (FlowKey, FlowState)>,
        now: &Now,
    ) {
        let mut seen = Vec::new();
        for (key, state) in dials {
            let dial = FlowId { key, started: state.started };
            if state.is_answered() {
                if now.since(state.last_packet.max(state.started)) > ANSWERED_WAITS {
                    self.out.push(Output::DropDial(key));
                }
                continue;
            }
            seen.push(dial);
            let (limit, targets) = self.service(state.service).connect;
            let tried = self.dials.tried.get(&dial).copied();
            let since = tried.map_or(state.started, |tried| tried.at);
            let is_new = tried.is_none_or(|tried| tried.target != state.target);
            if now.since(state.started) >= limit {
                if is_new {
                    self.target_failed(&state, SILENT);
                }
                let error = tried.filter(|_| !is_new).map_or(SILENT, |tried| tried.error);
                self.give_up_dial(dial, &state, error, now);
            } else if is_new && now.since(since) >= limit / targets {
                self.target_failed(&state, SILENT);
                self.try_another(dial, &state, SILENT, now);
            }
        }
        let open: std::collections::BTreeSet<FlowId> = seen.into_iter().collect();
        self.dials.tried.retain(|dial, _| open.contains(dial));
    }

    /// A target refused the client of a handshake that is under way.
    pub fn refused_by_target(&mut self, plea: Plea, dial: FlowId, state: &FlowState, now: &Now) {
        self.target_failed(state, REFUSING);
        let (_, targets) = self.service(state.service).connect;
        let failed = self.dials.tried.get(&dial).map_or(0, |tried| tried.failed);
        if plea == Plea::RefusedOne && failed + 1 < targets {
            self.try_another(dial, state, REFUSING, now);
        } else {
            self.give_up_dial(dial, state, REFUSING, now);
        }
    }

    fn target_failed(&mut self, state: &FlowState, error: &'static str) {
        self.out.push(Output::TargetFailed(state.service, state.target, error));
    }

    /// The client's next SYN goes to another target.
    fn try_another(&mut self, dial: FlowId, state: &FlowState, error: &'static str, now: &Now) {
        let failed = self.dials.tried.get(&dial).map_or(0, |tried| tried.failed) + 1;
        let tried = Tried { failed, at: now.monotonic, target: state.target, error };
        self.dials.tried.insert(dial, tried);
        self.out.push(Output::Redial(dial.key));
    }

    /// No target is left to try, or no time.
    fn give_up_dial(&mut self, dial: FlowId, state: &FlowState, error: &'static str, now: &Now) {
        self.dials.tried.remove(&dial);
        let service = self.service(state.service).into_owned();
        let mut draft = drafts::unanswered(&dial.key, state, &service, error, now);
        drafts::forwarded(&mut draft, self.target(state.target));
        self.record(draft, Origin::Userspace);
        let initial = state.up.base.wrapping_sub(1);
        self.out.push(Output::Refuse(dial.key, initial));
        self.out.push(Output::DropDial(dial.key));
    }
}
