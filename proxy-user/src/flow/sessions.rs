//! The records of the relay's connections, out of its own report and the kernel's
//! flow.

use std::time::Duration;

use proxy_common::{address::FlowKey, flow::FlowState, reason::Reason};

use super::{
    Ended, FlowTable, Now, Outcome, Tracker, drafts, relayed::View, tracker::close_reason,
    udp::is_udp,
};
use crate::record::{CloseReason, Draft, FlowId, KeyedSet, Origin};

/// A connection that the relay is done with may have bytes on their way: its flow goes
/// on until it ends, or is silent for longer than a host waits to send again (Linux's
/// `TCP_RTO_MAX`, 120 s).
const FLOW_SILENT: Duration = Duration::from_secs(130);

impl Tracker {
    /// The relay dials for a connection, or begins a UDP session.
    pub fn opened(&mut self, flow: FlowKey) {
        if is_udp(&flow) {
            self.udp.opened(flow);
        } else {
            self.relayed.opened(flow);
        }
    }

    /// As [`Self::opened`], by the relay of another process, which reports to this one.
    pub fn opened_elsewhere(&mut self, flow: FlowKey) {
        if !is_udp(&flow) {
            self.elsewhere.opened(flow);
        }
        self.opened(flow);
    }

    /// The relay is done with a connection or a UDP session.
    pub fn ended(&mut self, mut report: Ended, table: &mut impl FlowTable, now: &Now) {
        if is_udp(&report.flow) {
            self.ended_session(&report, table, now);
            return;
        }
        if self.elsewhere.ended(&report.flow) {
            // That process only saw its socket end.
            report.cut(CloseReason::PolicyChanged);
        }
        let (key, accepted) = (report.flow, now.monotonic_at(report.started));
        let recorded = &self.recorded;
        let began = || live(recorded, &key, table).map(|flow| flow.started);
        for state in self.relayed.passed_over(&key, accepted, began) {
            self.unreported(key, &state, CloseReason::Interrupted, now);
        }
        let recorded = &self.recorded;
        let expects_flow = || live(recorded, &key, table).is_some();
        if let Some(view) = self.relayed.ended(report, expects_flow, now.monotonic) {
            self.settle(view, table, now);
        }
    }

    /// Records what has waited long enough for the other view.
    pub(super) fn expire_sessions(&mut self, table: &impl FlowTable, now: &Now) {
        for view in self.relayed.expire(now.monotonic, self.accepting) {
            match view {
                View::Report(report) if self.is_flowing(&report.flow, table, now) => {
                    self.relayed.wait_on(report, now.monotonic);
                }
                view => self.settle(view, table, now),
            }
        }
    }

    /// Records a connection by what is known of it.
    pub(super) fn settle(&mut self, view: View, table: &impl FlowTable, now: &Now) {
        match view {
            View::Both(report, state) => self.session(&report, Some(&state), now),
            View::Report(report) => {
                let state = live(&self.recorded, &report.flow, table);
                self.session(&report, state.as_ref(), now);
            }
            View::Flow(key, state) => self.unaccepted(key, &state, close_reason(&state), now),
        }
    }

    /// Records a connection that the relay never took.
    pub(super) fn unaccepted(
        &mut self,
        key: FlowKey,
        state: &FlowState,
        why: CloseReason,
        now: &Now,
    ) {
        self.recorded_as(key, state, |service| {
            drafts::unserved(&key, state, service, (Reason::ClientAborted, why), now)
        });
    }

    pub(super) fn session(&mut self, report: &Ended, state: Option<&FlowState>, now: &Now) {
        let origin = if let Some(state) = state {
            let flow = FlowId { key: report.flow, started: state.started };
            self.recorded.insert(flow);
            if state.has(FlowState::PARTIAL) {
                self.note_unmet(report.flow, now);
            }
            Origin::Flow(flow)
        } else {
            self.note_unmet(report.flow, now);
            Origin::Userspace
        };
        let was_served = matches!(report.outcome, Outcome::Admitted { .. } | Outcome::Recorded);
        if state.is_none() && was_served {
            self.stats.without_flow += 1;
        }
        if report.outcome == Outcome::Recorded {
            self.committed(origin.flows());
        } else {
            self.record(self.session_draft(report, state, now), origin);
        }
    }

    pub(super) fn session_draft(
        &self,
        report: &Ended,
        state: Option<&FlowState>,
        now: &Now,
    ) -> Draft {
        let unled = self.services.protocol_of_unled(&report.flow);
        drafts::session(report, state, unled, now)
    }

    /// Settles a relayed connection of which no report comes. What HTTP alone was spoken by
    /// makes no record of its own: its requests made theirs. Its entry goes when every event
    /// of it was heard: should this daemon be killed before, the next one finds it again.
    pub(super) fn unreported(
        &mut self,
        key: FlowKey,
        state: &FlowState,
        why: CloseReason,
        now: &Now,
    ) {
        if !self.service(state.service).speaks_http_only(&key) {
            self.flow_record(key, state, why, now);
            return;
        }
        let flow = FlowId { key, started: state.started };
        if self.recorded.insert(flow) {
            self.stale.push(flow);
        }
    }

    /// Whether the kernel may still see its end: it does not follow services that are
    /// gone.
    fn is_flowing(&self, key: &FlowKey, table: &impl FlowTable, now: &Now) -> bool {
        live(&self.recorded, key, table).is_some_and(|state| {
            let service = self.services.get(state.service);
            !state.has(FlowState::ENDED)
                && !self.is_half_seen(&state, now)
                && service.is_some_and(|service| service.serves(key))
                && now.since(state.last_packet) < FLOW_SILENT
        })
    }
}

/// The kernel's flow of a relayed connection that has no record yet.
pub(super) fn live(
    recorded: &KeyedSet<FlowId>,
    key: &FlowKey,
    table: &impl FlowTable,
) -> Option<FlowState> {
    let state = table.get(key).filter(|state| state.has(FlowState::RELAYED))?;
    let flow = FlowId { key: *key, started: state.started };
    (!recorded.contains(&flow)).then_some(state)
}
