//! The life of UDP flows. No packet ends one, so the tracker does: it takes the flow out
//! of the kernel's map, and records what it was.
//!
//! A guarded flow ends by a silence, or as policy and services change. A relayed one ends
//! with the relay's session. What its client sends meanwhile is counted in it, and in no
//! other: the session that follows may have no flow of its own.

use proxy_common::{
    address::{FlowKey, PROTOCOL_UDP},
    flow::FlowState,
    reason::Reason,
};

use super::{
    Ended, Fate, FlowTable, Now, Outcome, Tracker, drafts,
    limiter::{Attempt, Judge},
};
use crate::{
    config::Service,
    record::{CloseReason, FlowId, Origin},
};

/// How long before its session's end a datagram may have come that the session did not
/// see: it waited in the relay's socket.
const UNSEEN: u64 = 10_000_000_000;

/// How long the relay may be behind with a socket when it ceases to read it.
const BEHIND: u64 = 1_000_000_000;

pub(super) fn is_udp(key: &FlowKey) -> bool {
    key.protocol == u32::from(PROTOCOL_UDP)
}

impl Tracker {
    /// The relay refused attempts of which it tells the number alone.
    pub fn refused(&mut self, service: &Service, reason: Reason, attempts: u64, now: &Now) {
        if attempts == 0 {
            return;
        }
        let slot = self.services.number(service);
        self.turn(now);
        self.limiter.counted((slot, reason), attempts, now.monotonic);
        self.udp.refuse_some(slot, attempts, service.idle_timeout, now.monotonic);
    }

    /// The relay is done with a session, or did not begin one.
    pub(super) fn ended_session(&mut self, report: &Ended, table: &mut impl FlowTable, now: &Now) {
        let key = report.flow;
        let state = self.take_or_copy(&key, table);
        if let (Some(service), Some(reason)) = (&report.service, refusal(&report.outcome)) {
            self.refused_session(report, (service, reason), state.as_ref(), now);
            return;
        }
        self.udp.ended(&key);
        let began = now.monotonic_at(report.started);
        match state {
            Some(mut state) => {
                if self.is_off(&state, &key, began) {
                    state.flags |= FlowState::PARTIAL;
                }
                let ended = now.monotonic_at(report.ended);
                if self.udp.is_open(&key) || state.last_packet.saturating_add(UNSEEN) >= ended {
                    self.udp.share(key, now.monotonic);
                }
                self.session(report, Some(&state), now);
            }
            // Counted in the flow of the session before.
            None if self.udp.is_shared(&key, began) => {
                let counted = FlowState { started: began, ..FlowState::default() };
                self.record(self.session_draft(report, Some(&counted), now), Origin::Userspace);
            }
            // Counted in the flow of an attempt that was refused.
            None if self.udp.was_refused(&key) => {
                self.record(self.session_draft(report, None, now), Origin::Userspace);
            }
            None => self.session(report, None, now),
        }
    }

    fn refused_session(
        &mut self,
        report: &Ended,
        (service, reason): (&Service, Reason),
        state: Option<&FlowState>,
        now: &Now,
    ) {
        let key = report.flow;
        let flow = state.map(|state| FlowId { key, started: state.started });
        self.recorded.extend(flow);
        let is_told = self.udp.is_told_elsewhere(&key, now.monotonic_at(report.started));
        self.udp.refuse(key, service.idle_timeout, now.monotonic);
        if is_told {
            self.committed(flow.as_slice());
            return;
        }
        let attempt = Attempt {
            service: self.services.number(service),
            reason,
            key,
            time: now.monotonic_at(report.ended),
            judge: Judge::Relay(flow),
        };
        self.turn(now);
        if self.limiter.admit(&attempt) {
            self.record(self.session_draft(report, state, now), attempt.origin());
        }
    }

    /// Whether the kernel's count of a session is not what the relay served: the programs
    /// were attached when it had begun, or datagrams that are in the count wait for the next
    /// daemon.
    fn is_off(&self, state: &FlowState, key: &FlowKey, began: u64) -> bool {
        let is_late =
            state.started > began && !self.udp.is_shared(key, began) && !self.udp.was_refused(key);
        is_late || self.is_unread(state)
    }

    /// Whether a flow is of datagrams that wait for the next daemon.
    pub(super) fn is_left_unread(&self, key: &FlowKey, state: &FlowState) -> bool {
        is_udp(key)
            && state.has(FlowState::RELAYED)
            && !state.has(FlowState::ENDED)
            && !self.udp.is_open(key)
            && self.is_unread(state)
    }

    /// Whether the flow's last datagrams came when the relay received none any more.
    fn is_unread(&self, state: &FlowState) -> bool {
        self.unread_from.is_some_and(|from| state.last_packet.saturating_add(BEHIND) >= from)
    }

    /// Takes over a flow that a daemon before left; true: it is to be ended.
    pub(super) fn adopt_udp(&mut self, key: FlowKey, state: &FlowState, now: &Now) -> bool {
        if state.has(FlowState::ENDED) {
            let why = self.why_taken(&key, state);
            self.flow_record(key, state, why, now);
            return false;
        }
        state.has(FlowState::RELAYED)
    }

    /// Looks at a flow; gives why it is over, if it is.
    pub(super) fn look_at_udp(
        &mut self,
        key: FlowKey,
        state: &FlowState,
        now: &Now,
    ) -> Option<CloseReason> {
        if state.has(FlowState::ENDED) {
            let why = self.why_taken(&key, state);
            self.flow_record(key, state, why, now);
            return None;
        }
        let service = self.services.get(state.service)?;
        let idle_timeout = service.idle_timeout;
        if !state.has(FlowState::RELAYED) {
            let is_idle = now.since(last_use(state)) > idle_timeout;
            return if state.has(FlowState::CUT) {
                // Told by an event, unless that was lost.
                Some(CloseReason::PolicyChanged)
            } else if service.serves(&key) {
                is_idle.then_some(CloseReason::IdleTimeout)
            } else {
                Some(CloseReason::ServiceRemoved)
            };
        }
        let is_quiet = now.since(state.last_packet) > idle_timeout;
        // While the relay does not accept, a datagram may wait in its socket.
        if !is_quiet || !self.accepting || self.udp.is_open(&key) {
            self.udp.go_on(&key, idle_timeout, state.last_packet);
            return None;
        }
        Some(CloseReason::Interrupted)
    }

    /// Ends a flow that no session of the relay's is open for, and records it. False: it
    /// cannot be taken out of the map now, and goes on.
    pub(super) fn end_udp(
        &mut self,
        key: FlowKey,
        why: CloseReason,
        table: &mut impl FlowTable,
        now: &Now,
    ) -> bool {
        let taken = table.take(&key);
        if let Some(state) = &taken {
            self.over_udp(key, state, why, now);
        }
        taken.is_some()
    }

    /// Records a flow that no session of the relay's is open for, and that is in the map no
    /// more.
    pub(super) fn over_udp(
        &mut self,
        key: FlowKey,
        state: &FlowState,
        why: CloseReason,
        now: &Now,
    ) {
        if state.has(FlowState::RELAYED) {
            self.unserved(key, state, why, now);
        } else {
            self.flow_record(key, state, why, now);
        }
    }

    /// Ends a flow whose session ended with a daemon before. Its datagrams may be of another
    /// session too: one of this daemon's, or one to come, as they wait in a socket that
    /// outlived that one.
    pub(super) fn interrupt_udp(&mut self, key: FlowKey, table: &mut impl FlowTable, now: &Now) {
        if let Some(state) = self.take_or_copy(&key, table) {
            self.udp.share(key, now.monotonic);
            self.flow_record(key, &state, CloseReason::Interrupted, now);
        }
    }

    /// Records a flow of the relay's that never had a session: its datagrams found no
    /// room in the relay's socket, or were of an attempt that the relay refused.
    fn unserved(&mut self, key: FlowKey, state: &FlowState, why: CloseReason, now: &Now) {
        let flow = FlowId { key, started: state.started };
        if !self.recorded.insert(flow) {
            return;
        }
        if self.udp.is_told(&key, state.service, state.last_packet) {
            self.committed(&[flow]);
            return;
        }
        let attempt = Attempt {
            service: state.service,
            reason: Reason::ConnectionLimit,
            key,
            time: state.last_packet,
            judge: Judge::Relay(Some(flow)),
        };
        self.turn(now);
        if self.limiter.admit(&attempt) {
            let service = self.service(state.service);
            let draft = drafts::unserved(&key, state, &service, (attempt.reason, why), now);
            self.record(draft, attempt.origin());
        }
    }

    /// Takes a flow that has no record out of the kernel's map. One for which there is no
    /// room elsewhere stays until its record is safe; what is counted until then is lost.
    fn take_or_copy(&self, key: &FlowKey, table: &mut impl FlowTable) -> Option<FlowState> {
        let state = table.take(key).or_else(|| table.get(key))?;
        let flow = FlowId { key: *key, started: state.started };
        (!self.recorded.contains(&flow)).then_some(state)
    }

    /// Why a flow was taken whose record was then not made.
    fn why_taken(&self, key: &FlowKey, state: &FlowState) -> CloseReason {
        let service = self.services.get(state.service);
        if state.has(FlowState::RELAYED) {
            CloseReason::Interrupted
        } else if state.has(FlowState::CUT) {
            CloseReason::PolicyChanged
        } else if service.is_some_and(|service| service.serves(key)) {
            CloseReason::IdleTimeout
        } else {
            CloseReason::ServiceRemoved
        }
    }
}

/// The last payload byte; of a flow that had none, the last datagram.
fn last_use(state: &FlowState) -> u64 {
    if state.up.payload() == 0 && state.down.payload() == 0 {
        state.last_packet
    } else {
        state.last_payload
    }
}

/// Why the relay served nothing, where it began no session.
fn refusal(outcome: &Outcome) -> Option<Reason> {
    match outcome {
        Outcome::Denied(reason) => Some(*reason),
        Outcome::Refused | Outcome::Admitted { fate: Fate::ConnectionLimit, .. } => {
            Some(Reason::ConnectionLimit)
        }
        Outcome::Admitted { .. } | Outcome::Unserved(_) | Outcome::Recorded => None,
    }
}
