//! What becomes of open flows when a policy changes.

use std::net::IpAddr;

use proxy_common::{address::FlowKey, event::CutEvent, flow::FlowState, verdict::Judgement};

use super::{FlowTable, Now, Output, Tracker, udp::is_udp};
use crate::record::CloseReason;

impl Tracker {
    /// A new policy denies an open flow.
    pub fn cut(&mut self, event: &CutEvent, table: &mut impl FlowTable, now: &Now) {
        let Some(state) = table.get(&event.key) else { return };
        if state.has(FlowState::RELAYED) {
            self.cut_elsewhere(event.key);
        } else if is_udp(&event.key) {
            self.end_udp(event.key, CloseReason::PolicyChanged, table, now);
        } else {
            self.end(event.key, &state, CloseReason::PolicyChanged, now);
        }
    }

    /// Judges open flows by a new policy, and ends those that it denies. The relay does so
    /// itself, but for those of another process.
    pub fn rejudge(
        &mut self,
        table: &mut impl FlowTable,
        judge: impl Fn(&str, IpAddr) -> Judgement,
        now: &Now,
    ) {
        let mut cut = Vec::new();
        for (key, state) in table.all() {
            let is_the_relays = state.has(FlowState::RELAYED) && !self.elsewhere.serves(&key);
            if is_the_relays || state.has(FlowState::ENDED) {
                continue;
            }
            let denied = self
                .services
                .get(state.service)
                .filter(|service| service.serves(&key))
                .and_then(|service| judge(&service.name, key.client.into()).denied);
            if denied.is_none() {
                continue;
            }
            if state.has(FlowState::RELAYED) {
                self.cut_elsewhere(key);
            } else if is_udp(&key) {
                cut.push(key);
            } else {
                self.end(key, &state, CloseReason::PolicyChanged, now);
            }
        }
        for key in cut {
            self.end_udp(key, CloseReason::PolicyChanged, table, now);
        }
    }

    /// Ends a relayed connection if another process serves it. That one reports it.
    fn cut_elsewhere(&mut self, key: FlowKey) {
        if self.elsewhere.cut(&key) {
            self.out.push(Output::Reset(key));
        }
    }
}
