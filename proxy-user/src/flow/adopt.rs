//! The tracker's edges: what it finds at the start, looks for while it runs, and
//! leaves at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proxy_common::{address::FlowKey, flow::FlowState};

use super::{
    Count, FlowTable, Now, RefusedByNumber, Tracker, UdpPast, Unreported, sessions::live,
    tracker::close_reason, udp::is_udp,
};
use crate::record::{CloseReason, CounterId, FlowId};

/// An end that the kernel told is here by then; what is older was lost.
const TOLD_BY: Duration = Duration::from_secs(5);
/// A relayed flow without a session and without a packet for so long is dead.
const ORPHANED_AFTER: Duration = Duration::from_mins(10);
/// The relay accepts a moment before the programs are attached, and TCP's last packets may
/// take that long.
const BEGINS_FOR: u64 = 60_000_000_000;

impl Tracker {
    /// Takes over what a daemon before left: attempts that were counted meanwhile
    /// become aggregates, relayed connections are `interrupted` (they ended with
    /// it), guarded ones go on. `committed` are flows whose records are safe.
    ///
    /// `reported`: of which relayed connections a report is still to come, since
    /// another process serves them to their end, or they wait in a listener's queue. It is
    /// asked when every flow is known: who comes after that is none of them.
    pub fn begin(
        &mut self,
        (counts, accounted): (&[Count], &BTreeMap<CounterId, u64>),
        table: &mut impl FlowTable,
        committed: &BTreeSet<FlowId>,
        reported: impl Fn(&FlowKey, &FlowState) -> bool,
        now: &Now,
    ) {
        for count in counts {
            let known = accounted.get(&count.counter).copied().unwrap_or(0);
            let missing = self.ledger.settle(*count, known);
            self.uncovered(count.counter, missing, "while_down", now);
        }
        self.recorded.extend(committed);
        self.stale.extend(committed);
        self.begins_until = now.monotonic + BEGINS_FOR;
        let (mut over, mut ended) = (Vec::new(), Vec::new());
        let flows: Vec<_> = table.all().collect();
        for (key, state) in flows {
            if is_udp(&key) {
                let is_over = self.adopt_udp(key, &state, now) && !reported(&key, &state);
                over.extend(is_over.then_some(key));
            } else if state.has(FlowState::RELAYED) && !reported(&key, &state) {
                self.unreported(key, &state, CloseReason::Interrupted, now);
            } else if state.has(FlowState::ENDED) {
                ended.push((key, state));
            }
        }
        // Reports of a 5-tuple that is used again come in this order.
        ended.sort_by_key(|(_, state)| state.started);
        for (key, state) in ended {
            self.ended_flow(key, state, now);
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
            } else if self.is_remains(&key, &state) {
                self.committed(&[flow]);
            } else if state.has(FlowState::ENDED) {
                if quiet > TOLD_BY && !(state.has(FlowState::RELAYED) && self.relayed.holds(&flow))
                {
                    self.stats.swept_flows += 1;
                    self.ended_flow(key, state, now);
                }
            } else if !state.has(FlowState::RELAYED) {
                self.sweep_guarded(key, &state, now);
            } else if quiet > ORPHANED_AFTER && !self.relayed.knows(&key) {
                self.unreported(key, &state, CloseReason::Interrupted, now);
            }
        }
        for (key, why) in over {
            // Where there is no room for one there is none for the others.
            if !self.end_udp(key, why, table, now) {
                break;
            }
        }
        self.udp.expire(now.monotonic);
        self.unmet.retain(|_, until| *until > now.monotonic);
    }

    /// Notes a connection that was over before the programs met it, and is recorded.
    pub(super) fn note_unmet(&mut self, key: FlowKey, now: &Now) {
        if now.monotonic < self.begins_until && !is_udp(&key) {
            self.unmet.insert(key, now.monotonic + BEGINS_FOR);
        }
    }

    /// Whether the programs were attached as a connection ended: they may never see the
    /// other half of its end.
    pub(super) fn is_half_seen(&self, state: &FlowState, now: &Now) -> bool {
        now.monotonic < self.begins_until
            && state.has(FlowState::PARTIAL)
            && (state.has(FlowState::CLIENT_CLOSED) || state.has(FlowState::SERVICE_CLOSED))
    }

    /// Whether a flow is what is left of a connection that has its record.
    pub(super) fn is_remains(&self, key: &FlowKey, state: &FlowState) -> bool {
        state.has(FlowState::PARTIAL)
            && state.has(FlowState::RELAYED)
            && self.unmet.contains_key(key)
            && !self.relayed.knows(key)
    }

    fn sweep_guarded(&mut self, key: FlowKey, state: &FlowState, now: &Now) {
        let Some(service) = self.services.get(state.service) else { return };
        if !service.serves(&key) && state.has(FlowState::FORWARDED) {
            self.end(key, state, CloseReason::ServiceRemoved, now);
        } else if !service.serves(&key) {
            // The connection itself is nobody's business any more, and goes on.
            self.flow_record(key, state, CloseReason::ServiceRemoved, now);
        } else if now.since(state.last_payload) > service.idle_timeout {
            self.end(key, state, CloseReason::IdleTimeout, now);
        }
    }

    /// Leaves everything to the tracker of another process, which finds the flows in
    /// the maps and what is recorded in the store: gives what it cannot find there.
    /// That one accounts for the attempts whose events did not come by now, too.
    pub fn hand_over(&mut self, table: &impl FlowTable, now: &Now) -> Unreported {
        self.flush_aggregates(now);
        // The next one hears no more of these either.
        let stale = std::mem::take(&mut self.stale);
        self.committed(&stale);
        // Why they end is known here only.
        let ending: Vec<FlowId> = self.ending.keys().copied().collect();
        for flow in ending {
            if let Some(state) = table.get(&flow.key).filter(|s| s.started == flow.started) {
                self.guarded(flow.key, &state, now);
            }
        }
        let mut left = self.relayed.hand_over();
        left.past.flows = self.udp.hand_over(&mut left.expected);
        for (slot, attempts, until) in self.udp.hand_over_refused() {
            let service = self.service(slot).name.clone();
            left.past.refused.push(RefusedByNumber { service, attempts, until });
        }
        left
    }

    /// Takes over from the tracker of another process, before [`Self::begin`]: nothing may
    /// be looked at without it. `expected`: connections of which that one reports the end.
    pub fn take_over(&mut self, expected: &[FlowKey], past: UdpPast) {
        for flow in expected {
            self.opened_elsewhere(*flow);
        }
        for flow in past.flows {
            self.udp.take_over(flow);
        }
        for RefusedByNumber { service, attempts, until } in past.refused {
            // The maps' own names are known: one that is not has no flows in them.
            if let Some(slot) = self.services.numbered(&service) {
                self.udp.take_over_refused(slot, attempts, until);
            }
        }
    }

    /// The process that served a connection ended without a report of it.
    pub fn lost(&mut self, key: FlowKey, table: &mut impl FlowTable, now: &Now) {
        if is_udp(&key) {
            self.udp.ended(&key);
            self.interrupt_udp(key, table, now);
            return;
        }
        let is_cut = self.elsewhere.ended(&key);
        let why = if is_cut { CloseReason::PolicyChanged } else { CloseReason::Interrupted };
        let state = self.relayed.lost(&key).or_else(|| live(&self.recorded, &key, table));
        if let Some(state) = state {
            self.unreported(key, &state, why, now);
        }
    }

    /// Records everything that is open: the kernel programs are detached, the relay
    /// has reported all its connections, and the maps go away. `queued`: which relayed
    /// connections wait in a queue that outlives this daemon; the next one records them.
    pub fn finish(
        &mut self,
        counts: &[Count],
        (table, queued): (&impl FlowTable, impl Fn(&FlowKey, &FlowState) -> bool),
        now: &Now,
    ) {
        for count in counts {
            let lost = self.ledger.close(*count);
            self.uncovered(count.counter, lost, "events_lost", now);
        }
        for view in self.relayed.expire(u64::MAX, true) {
            self.settle(view, table, now);
        }
        for (key, state) in table.all() {
            let flow = FlowId { key, started: state.started };
            let waits = state.has(FlowState::RELAYED) && queued(&key, &state);
            if waits || self.is_left_unread(&key, &state) || self.recorded.contains(&flow) {
                continue;
            }
            if is_udp(&key) {
                let why = self.look_at_udp(key, &state, now).unwrap_or(CloseReason::Shutdown);
                self.over_udp(key, &state, why, now);
            } else if self.ending.contains_key(&flow) {
                self.guarded(key, &state, now);
            } else {
                let is_over = state.has(FlowState::ENDED);
                let why = if is_over { close_reason(&state) } else { CloseReason::Shutdown };
                if self.service(state.service).speaks_http_only(&key) {
                    // Whom the relay took it has reported.
                    self.unaccepted(key, &state, why, now);
                } else {
                    self.flow_record(key, &state, why, now);
                }
            }
        }
        self.flush_aggregates(now);
    }
}
