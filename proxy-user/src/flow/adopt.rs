//! The tracker's edges: what it finds at the start, looks for while it runs, and
//! leaves at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proxy_common::{address::FlowKey, flow::FlowState};

use super::{Count, FlowTable, Now, Tracker, tracker::close_reason, udp::is_udp};
use crate::record::{CloseReason, CounterId, FlowId};

/// An end that the kernel told is here by then; what is older was lost.
const TOLD_BY: Duration = Duration::from_secs(5);
/// A relayed flow without a session and without a packet for so long is dead.
const ORPHANED_AFTER: Duration = Duration::from_mins(10);

impl Tracker {
    /// Takes over what a daemon before left: attempts that were counted meanwhile
    /// become aggregates, relayed connections are `interrupted` (they ended with
    /// it), guarded ones go on. `committed` are flows whose records are safe.
    pub fn begin(
        &mut self,
        counts: &[Count],
        accounted: &BTreeMap<CounterId, u64>,
        table: &mut impl FlowTable,
        committed: &BTreeSet<FlowId>,
        now: &Now,
    ) {
        for count in counts {
            let known = accounted.get(&count.counter).copied().unwrap_or(0);
            let missing = self.ledger.settle(*count, known);
            self.uncovered(count.counter, missing, "while_down", now);
        }
        self.recorded.extend(committed);
        self.stale.extend(committed);
        let mut over = Vec::new();
        for (key, state) in table.all() {
            if is_udp(&key) {
                over.extend(self.adopt_udp(key, &state, now).then_some(key));
            } else if state.has(FlowState::RELAYED) {
                self.flow_record(key, &state, CloseReason::Interrupted, now);
            } else if state.has(FlowState::ENDED) {
                self.guarded(key, &state, now);
            }
        }
        for key in over {
            self.interrupt_udp(key, table, now);
        }
    }

    /// Takes over late what the store tells of a daemon before: `counts` are what the
    /// counters held at [`Self::begin`], which took them for accounted for.
    pub fn inherit(
        &mut self,
        counts: &[Count],
        accounted: &BTreeMap<CounterId, u64>,
        committed: &BTreeSet<FlowId>,
        now: &Now,
    ) {
        for count in counts {
            let known = accounted.get(&count.counter).copied().unwrap_or(0);
            let missing = count.attempts.saturating_sub(known);
            self.uncovered(count.counter, missing, "while_down", now);
        }
        self.recorded.extend(committed);
        self.stale.extend(committed);
    }

    /// Looks through every flow: for ends whose event was lost, connections without
    /// new payload for too long, services that are gone. Every event that the ring
    /// buffer held has been handed over.
    pub fn sweep(&mut self, table: &mut impl FlowTable, now: &Now) {
        let mut over = Vec::new();
        for (key, state) in table.all() {
            let flow = FlowId { key, started: state.started };
            if self.recorded.contains(&flow) {
                continue;
            }
            let quiet = now.since(state.last_packet);
            if is_udp(&key) {
                over.extend(self.look_at_udp(key, &state, now).map(|why| (key, why)));
            } else if state.has(FlowState::ENDED) {
                if quiet > TOLD_BY && !(state.has(FlowState::RELAYED) && self.relayed.holds(&flow))
                {
                    self.stats.swept_flows += 1;
                    self.ended_flow(key, state, now);
                }
            } else if !state.has(FlowState::RELAYED) {
                self.sweep_guarded(key, &state, now);
            } else if quiet > ORPHANED_AFTER && !self.relayed.knows(&key) {
                self.flow_record(key, &state, CloseReason::Interrupted, now);
            }
        }
        for (key, why) in over {
            // Where there is no room for one there is none for the others.
            if !self.end_udp(key, why, table, now) {
                break;
            }
        }
        self.udp.expire(now.monotonic);
    }

    fn sweep_guarded(&mut self, key: FlowKey, state: &FlowState, now: &Now) {
        let Some(service) = self.services.get(state.service) else { return };
        if !service.serves(&key) {
            // The connection itself is nobody's business any more, and goes on.
            self.flow_record(key, state, CloseReason::ServiceRemoved, now);
        } else if now.since(state.last_payload) > service.idle_timeout {
            self.end(key, state, CloseReason::IdleTimeout, now);
        }
    }

    /// Records everything that is open: the kernel programs are detached, the relay
    /// has reported all its connections, and the maps go away.
    pub fn finish(&mut self, counts: &[Count], table: &impl FlowTable, now: &Now) {
        for count in counts {
            let lost = self.ledger.close(*count);
            self.uncovered(count.counter, lost, "events_lost", now);
        }
        for view in self.relayed.expire(u64::MAX, true) {
            self.settle(view, table, now);
        }
        for (key, state) in table.all() {
            let flow = FlowId { key, started: state.started };
            if self.recorded.contains(&flow) {
                continue;
            }
            if is_udp(&key) {
                let why = self.look_at_udp(key, &state, now).unwrap_or(CloseReason::Shutdown);
                self.over_udp(key, &state, why, now);
            } else if self.ending.contains_key(&flow) {
                self.guarded(key, &state, now);
            } else if state.has(FlowState::ENDED) {
                self.flow_record(key, &state, close_reason(&state), now);
            } else {
                self.flow_record(key, &state, CloseReason::Shutdown, now);
            }
        }
        self.flush_aggregates(now);
    }
}
