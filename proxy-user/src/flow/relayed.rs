//! Brings the two views of a relayed connection together: the kernel's flow and
//! the relay's report, whichever comes first.

use std::collections::{
    VecDeque,
    hash_map::{Entry, OccupiedEntry},
};

use proxy_common::{address::FlowKey, flow::FlowState};

use super::{Ended, Unreported};
use crate::record::{FlowId, KeyedMap};

/// How long a report waits for its flow's last packets.
const REPORT_WAITS: u64 = 2_000_000_000;
/// How long an ended flow waits for a session that was never opened: the
/// connection may still stand in the listener's queue.
const FLOW_WAITS: u64 = 30_000_000_000;

/// What is known of a connection.
#[derive(Debug)]
pub(super) enum View {
    /// Both.
    Both(Ended, FlowState),
    /// The kernel knows nothing of it, or has not seen its end.
    Report(Ended),
    /// No session was ever opened for it.
    Flow(FlowKey, FlowState),
}

/// Mostly one of each kind at a time: the queues get room for no more than they hold.
#[derive(Debug, Default)]
struct Waiting {
    /// Sessions that were opened and have not ended.
    open: u32,
    reports: VecDeque<(u64, Ended)>,
    flows: VecDeque<(u64, FlowState)>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.open == 0 && self.reports.is_empty() && self.flows.is_empty()
    }
}

/// Relayed connections of which one view is missing, by 5-tuple. A 5-tuple that is
/// used again queues: the first report belongs to the first flow.
#[derive(Debug, Default)]
pub(super) struct Relayed {
    waiting: KeyedMap<FlowKey, Waiting>,
}

impl Relayed {
    pub(super) fn opened(&mut self, flow: FlowKey) {
        self.waiting.entry(flow).or_default().open += 1;
    }

    /// A report came. `expects_flow`: the kernel has a flow for it whose end it has
    /// not told yet; asked only where no end was told.
    pub(super) fn ended(
        &mut self,
        report: Ended,
        expects_flow: impl FnOnce() -> bool,
        now: u64,
    ) -> Option<View> {
        let mut place = self.place(report.flow);
        let waiting = place.get_mut();
        waiting.open = waiting.open.saturating_sub(1);
        let view = match waiting.flows.pop_front() {
            Some((_, state)) => Some(View::Both(report, state)),
            None if expects_flow() => {
                waiting.reports.reserve_exact(1);
                waiting.reports.push_back((now + REPORT_WAITS, report));
                None
            }
            None => Some(View::Report(report)),
        };
        if waiting.is_empty() {
            place.remove();
        }
        view
    }

    /// Flows of which no report comes any more: they had ended when the only session of the
    /// 5-tuple, which is about to be reported, was accepted at `accepted`, and a later flow
    /// that it can be of is there, where not here then by `live`. The process that served
    /// them was killed.
    pub(super) fn passed_over(
        &mut self,
        key: &FlowKey,
        accepted: u64,
        live: impl Fn() -> Option<u64>,
    ) -> Vec<FlowState> {
        let mut passed = Vec::new();
        let Some(waiting) = self.waiting.get_mut(key).filter(|waiting| waiting.open <= 1) else {
            return passed;
        };
        while let Some((_, first)) = waiting.flows.front()
            && first.last_packet < accepted
        {
            let began = first.started;
            let later = waiting.flows.get(1).map(|(_, second)| second.started).or_else(&live);
            if !later.is_some_and(|later| later > began && later <= accepted) {
                break;
            }
            passed.extend(waiting.flows.pop_front().map(|(_, state)| state));
        }
        passed
    }

    /// The kernel told a flow's end.
    pub(super) fn closed(&mut self, key: FlowKey, state: FlowState, now: u64) -> Option<View> {
        let mut place = self.place(key);
        let waiting = place.get_mut();
        if waiting.flows.iter().any(|(_, known)| known.started == state.started) {
            return None;
        }
        let Some((_, report)) = waiting.reports.pop_front() else {
            waiting.flows.reserve_exact(1);
            waiting.flows.push_back((now + FLOW_WAITS, state));
            return None;
        };
        if waiting.is_empty() {
            place.remove();
        }
        Some(View::Both(report, state))
    }

    fn place(&mut self, key: FlowKey) -> OccupiedEntry<'_, FlowKey, Waiting> {
        match self.waiting.entry(key) {
            Entry::Occupied(known) => known,
            Entry::Vacant(free) => free.insert_entry(Waiting::default()),
        }
    }

    /// Whether a session of this 5-tuple is open or waits.
    pub(super) fn knows(&self, key: &FlowKey) -> bool {
        self.waiting.contains_key(key)
    }

    /// Whether this flow's end is known and waits for its session.
    pub(super) fn holds(&self, flow: &FlowId) -> bool {
        let waiting = self.waiting.get(&flow.key);
        waiting.is_some_and(|w| w.flows.iter().any(|(_, state)| state.started == flow.started))
    }

    /// All whose report has come or is to come. Ends of flows are in the kernel's maps
    /// as well.
    pub(super) fn hand_over(&mut self) -> Unreported {
        let mut left = Unreported::default();
        for (key, waiting) in self.waiting.drain() {
            let open = usize::try_from(waiting.open).unwrap_or(usize::MAX);
            left.expected.extend(std::iter::repeat_n(key, open + waiting.reports.len()));
            left.reports.extend(waiting.reports.into_iter().map(|(_, report)| report));
        }
        left
    }

    /// No report comes of an opened session; the state of its flow, where that ended.
    pub(super) fn lost(&mut self, key: &FlowKey) -> Option<FlowState> {
        let waiting = self.waiting.get_mut(key)?;
        waiting.open = waiting.open.saturating_sub(1);
        let ended = waiting.flows.pop_front().map(|(_, state)| state);
        if waiting.is_empty() {
            self.waiting.remove(key);
        }
        ended
    }

    /// Lets a report wait on: its flow goes on.
    pub(super) fn wait_on(&mut self, report: Ended, now: u64) {
        let waiting = self.waiting.entry(report.flow).or_default();
        waiting.reports.push_front((now + REPORT_WAITS, report));
    }

    /// What has waited long enough. `accepting`: no connection stands in a listener's
    /// queue for the store's sake.
    pub(super) fn expire(&mut self, now: u64, accepting: bool) -> Vec<View> {
        let mut views = Vec::new();
        self.waiting.retain(|key, waiting| {
            while waiting.reports.front().is_some_and(|(until, _)| *until <= now) {
                views.extend(waiting.reports.pop_front().map(|(_, report)| View::Report(report)));
            }
            while accepting
                && waiting.open == 0
                && waiting.flows.front().is_some_and(|(until, _)| *until <= now)
            {
                views.extend(waiting.flows.pop_front().map(|(_, state)| View::Flow(*key, state)));
            }
            !waiting.is_empty()
        });
        views
    }
}
