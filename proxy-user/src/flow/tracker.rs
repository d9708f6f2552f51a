//! The life of flows and denied attempts: what the kernel and the relay tell goes
//! in, records come out. No I/O; time is passed in.

use std::{borrow::Cow, collections::BTreeMap, net::SocketAddr};

use proxy_common::{
    address::FlowKey,
    event::{ClosedEvent, DeniedEvent},
    flow::FlowState,
    nat::TargetSlot,
    reason::Reason,
    tables::ServiceSlot,
};

use super::{
    Count, Directory, Now, RequestCounts, ServiceInfo,
    dials::Dials,
    drafts,
    elsewhere::Elsewhere,
    ledger::Ledger,
    limiter::{Aggregate, Attempt, Judge, Limiter},
    relayed::{Relayed, View},
    udp_sessions::UdpSessions,
};
use crate::record::{CloseReason, CounterId, Draft, Entry, FlowId, KeyedMap, KeyedSet, Origin};

/// How long after ending a connection its record waits for the kernel's last word.
const ENDING_WAITS: u64 = 2_000_000_000;

/// Where the tracker looks flows up: the kernel's maps, or a test's.
pub trait FlowTable {
    /// The flow's state, while it has an entry.
    fn get(&self, key: &FlowKey) -> Option<FlowState>;

    /// Every flow, also those that are in no 5-tuple's place any more and wait for their
    /// record: these have [`FlowState::ENDED`].
    fn all(&self) -> impl Iterator<Item = (FlowKey, FlowState)>;

    /// Ends a UDP flow, and gives its last state, which stays with [`Self::all`] until
    /// [`Output::Delete`]. The 5-tuple's next datagram begins another flow. `None`: there
    /// is no flow, or no room to keep its state.
    fn take(&mut self, key: &FlowKey) -> Option<FlowState>;
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this.
    Record(Box<Entry>),
    /// Delete this flow's entry: its record is safe.
    Delete(FlowId),
    /// Forget that this flow's record is committed: its entry is deleted, and no
    /// event of it can come any more.
    Forget(FlowId),
    /// End this connection of the host's, or of the kernel plane's.
    Reset(FlowKey),
    /// This handshake with a target comes to nothing: forget it, and what it was given.
    DropDial(FlowKey),
    /// Take the client of this handshake from its target: its next SYN goes to another.
    Redial(FlowKey),
    /// Answer this client's SYN, of that sequence number, with an RST.
    Refuse(FlowKey, u32),
    /// A target of the kernel plane's cannot be reached, in words.
    TargetFailed(ServiceSlot, TargetSlot, &'static str),
}

/// Counts that could hide a loss, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackerStats {
    /// Denied attempts whose events were lost; told in aggregates.
    pub lost_events: u64,
    /// Ends of flows whose events were lost; found by the sweep.
    pub swept_flows: u64,
    /// Connections of the relay that no flow of the kernel's was found for.
    pub without_flow: u64,
}

/// The tracker.
pub struct Tracker {
    pub(super) epoch: u64,
    pub(super) services: Directory,
    interfaces: BTreeMap<u32, String>,
    pub(super) limiter: Limiter,
    pub(super) ledger: Ledger,
    pub(super) relayed: Relayed,
    pub(super) udp: UdpSessions,
    pub(super) elsewhere: Elsewhere,
    pub(super) dials: Dials,
    /// Targets of the kernel plane.
    pub(super) targets: BTreeMap<TargetSlot, SocketAddr>,
    /// Flows that have a record, until their entry is deleted.
    pub(super) recorded: KeyedSet<FlowId>,
    /// Connections that the tracker ends, and when their record is due.
    pub(super) ending: KeyedMap<FlowId, (CloseReason, u64)>,
    /// Flows of a daemon before, whose entries go when every event of them was heard.
    pub(super) stale: Vec<FlowId>,
    /// Flows whose entries are deleted. The ring buffer may still hold an event.
    deleted: Vec<FlowId>,
    /// Until when the relay may be done with connections before the programs, attached
    /// later, meet them.
    pub(super) begins_until: u64,
    /// Such connections, and until when their last packets may make a flow.
    pub(super) unmet: KeyedMap<FlowKey, u64>,
    pub(super) accepting: bool,
    /// Since when datagrams wait for the next daemon.
    pub(super) unread_from: Option<u64>,
    pub(super) stats: TrackerStats,
    recorded_flows: BTreeMap<ServiceSlot, u64>,
    pub(super) requests: BTreeMap<String, RequestCounts>,
    pub(super) out: Vec<Output>,
}

impl Tracker {
    /// A tracker for the maps of that epoch.
    pub fn new(epoch: u64, deny_records_per_second: u32) -> Self {
        Self {
            epoch,
            services: Directory::default(),
            interfaces: BTreeMap::new(),
            limiter: Limiter::new(deny_records_per_second),
            ledger: Ledger::default(),
            relayed: Relayed::default(),
            udp: UdpSessions::default(),
            elsewhere: Elsewhere::default(),
            dials: Dials::default(),
            targets: BTreeMap::new(),
            unread_from: None,
            recorded: KeyedSet::default(),
            ending: KeyedMap::default(),
            stale: Vec::new(),
            deleted: Vec::new(),
            begins_until: 0,
            unmet: KeyedMap::default(),
            accepting: true,
            stats: TrackerStats::default(),
            recorded_flows: BTreeMap::new(),
            requests: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    /// Takes the services in force.
    pub fn set_services(&mut self, services: Vec<(ServiceSlot, ServiceInfo)>) {
        self.services.update(services);
    }

    /// Takes the limit of single records of denied attempts.
    pub fn set_limit(&mut self, deny_records_per_second: u32) {
        self.limiter.set_limit(deny_records_per_second);
    }

    /// Takes the names of the interfaces.
    pub fn set_interfaces(&mut self, interfaces: BTreeMap<u32, String>) {
        self.interfaces = interfaces;
    }

    /// Takes whether the relay accepts connections, or leaves them in the listeners'
    /// queues.
    pub fn set_accepting(&mut self, accepting: bool) {
        self.accepting = accepting;
    }

    /// The relay receives no datagram from now on, and its sockets outlive this daemon: the
    /// next one reads what comes, and records it.
    pub fn leave_unread(&mut self, now: &Now) {
        self.unread_from.get_or_insert(now.monotonic);
    }

    /// Counts that could hide a loss.
    pub fn stats(&self) -> TrackerStats {
        self.stats
    }

    /// Flows recorded since the start, by service.
    pub fn recorded_flows(&self) -> &BTreeMap<ServiceSlot, u64> {
        &self.recorded_flows
    }

    /// Requests since the start, by the service's name.
    pub fn requests(&self) -> &BTreeMap<String, RequestCounts> {
        &self.requests
    }

    /// Whether denied packets to the service are answered.
    pub fn resets(&self, slot: ServiceSlot) -> bool {
        self.services.get(slot).is_some_and(|service| service.resets)
    }

    /// What is to be done since the last call.
    pub fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.out)
    }

    /// A denied attempt, or a repeat of one.
    pub fn denied(&mut self, event: &DeniedEvent, now: &Now) {
        let Some(reason) = Reason::from_number(event.reason) else { return };
        let counter = CounterId {
            epoch: self.epoch,
            service: event.service,
            reason: event.reason,
            cpu: event.cpu,
        };
        if event.ordinal == 0 || !self.ledger.note(counter, event.ordinal) {
            return;
        }
        let attempt = Attempt {
            service: event.service,
            reason,
            key: event.key,
            time: event.time,
            judge: Judge::Kernel { hook: event.hook, interface: event.interface, counter },
        };
        self.turn(now);
        if self.limiter.admit(&attempt) {
            let service = self.service(attempt.service);
            let draft = drafts::denied(&attempt, &service, self.interface(&attempt), now);
            self.record(draft, attempt.origin());
        }
    }

    /// A flow ended.
    pub fn closed(&mut self, event: &ClosedEvent, now: &Now) {
        self.ended_flow(event.key, event.state, now);
    }

    /// Records are committed: their flows' entries may go.
    pub fn committed(&mut self, flows: &[FlowId]) {
        self.deleted.extend(flows);
        self.out.extend(flows.iter().copied().map(Output::Delete));
    }

    /// Time passes. `counts`: the counters, read after every event that the ring
    /// buffer held was handed over; `None` while it still holds some.
    pub fn tick(&mut self, counts: Option<&[Count]>, table: &impl FlowTable, now: &Now) {
        self.turn(now);
        if counts.is_some() {
            for flow in self.deleted.drain(..) {
                self.recorded.remove(&flow);
                self.out.push(Output::Forget(flow));
            }
            let stale = std::mem::take(&mut self.stale);
            self.committed(&stale);
        }
        for count in counts.unwrap_or_default() {
            let lost = self.ledger.reconcile(*count);
            self.stats.lost_events += lost;
            self.uncovered(count.counter, lost, "events_lost", now);
        }
        self.expire_sessions(table, now);
        self.finish_ending(table, now);
    }

    /// Ends a guarded connection: the host resets it, the record follows.
    pub(super) fn end(&mut self, key: FlowKey, state: &FlowState, why: CloseReason, now: &Now) {
        let flow = FlowId { key, started: state.started };
        if self.recorded.contains(&flow) || self.ending.contains_key(&flow) {
            return;
        }
        self.ending.insert(flow, (why, now.monotonic + ENDING_WAITS));
        self.out.push(Output::Reset(key));
    }

    /// Records what was ended and of which the kernel said nothing more.
    fn finish_ending(&mut self, table: &impl FlowTable, now: &Now) {
        let due: Vec<FlowId> = self
            .ending
            .iter()
            .filter(|(_, (_, until))| *until <= now.monotonic)
            .map(|(flow, _)| *flow)
            .collect();
        for flow in due {
            match table.get(&flow.key).filter(|state| state.started == flow.started) {
                Some(state) => self.guarded(flow.key, &state, now),
                None => drop(self.ending.remove(&flow)),
            }
        }
    }

    pub(super) fn ended_flow(&mut self, key: FlowKey, state: FlowState, now: &Now) {
        let flow = FlowId { key, started: state.started };
        if self.recorded.contains(&flow) {
            return;
        }
        if !state.has(FlowState::RELAYED) {
            self.guarded(key, &state, now);
        } else if self.is_remains(&key, &state) {
            self.committed(&[flow]);
        } else if let Some(View::Both(report, state)) =
            self.relayed.closed(key, state, now.monotonic)
        {
            self.session(&report, Some(&state), now);
        }
    }

    /// Records a guarded flow.
    pub(super) fn guarded(&mut self, key: FlowKey, state: &FlowState, now: &Now) {
        let flow = FlowId { key, started: state.started };
        let why = match self.ending.remove(&flow) {
            Some((why, _)) => why,
            None => close_reason(state),
        };
        self.flow_record(key, state, why, now);
    }

    pub(super) fn flow_record(
        &mut self,
        key: FlowKey,
        state: &FlowState,
        why: CloseReason,
        now: &Now,
    ) {
        self.recorded_as(key, state, |service| drafts::flow(&key, state, service, why, now));
    }

    pub(super) fn recorded_as(
        &mut self,
        key: FlowKey,
        state: &FlowState,
        draft: impl FnOnce(&ServiceInfo) -> Draft,
    ) {
        let flow = FlowId { key, started: state.started };
        if !self.recorded.insert(flow) {
            return;
        }
        *self.recorded_flows.entry(state.service).or_default() += 1;
        let mut draft = draft(&self.service(state.service));
        if state.has(FlowState::FORWARDED) {
            drafts::forwarded(&mut draft, self.target(state.target));
        }
        self.record(draft, Origin::Flow(flow));
    }

    /// Writes the aggregates of a second that is over.
    pub(super) fn turn(&mut self, now: &Now) {
        for aggregate in self.limiter.turn(now.monotonic) {
            self.aggregate(aggregate, now);
        }
    }

    /// Writes the aggregates of a second that is not over.
    pub(super) fn flush_aggregates(&mut self, now: &Now) {
        for aggregate in self.limiter.flush() {
            self.aggregate(aggregate, now);
        }
    }

    fn aggregate(&mut self, aggregate: Aggregate, now: &Now) {
        let service = self.service(aggregate.service);
        let interface = aggregate.first.as_ref().and_then(|first| self.interface(first));
        let draft = drafts::aggregate(&aggregate, &service, interface, now);
        self.record(draft, aggregate.origin());
    }

    /// Takes attempts that only the counter tells of into the second's aggregates.
    pub(super) fn uncovered(
        &mut self,
        counter: CounterId,
        attempts: u64,
        why: &'static str,
        now: &Now,
    ) {
        if let Some(reason) = Reason::from_number(counter.reason).filter(|_| attempts > 0) {
            self.limiter.unseen(reason, counter, attempts, (why, now.monotonic));
        }
    }

    pub(super) fn service(&self, slot: ServiceSlot) -> Cow<'_, ServiceInfo> {
        let unknown = || Cow::Owned(ServiceInfo::gone(&format!("slot-{slot}")));
        self.services.get(slot).map_or_else(unknown, Cow::Borrowed)
    }

    fn interface(&self, attempt: &Attempt) -> Option<&str> {
        let Judge::Kernel { interface, .. } = attempt.judge else { return None };
        self.interfaces.get(&interface).map(String::as_str)
    }

    pub(super) fn record(&mut self, draft: Draft, origin: Origin) {
        self.out.push(Output::Record(Box::new(Entry { draft, origin })));
    }
}

/// How the kernel saw a flow end.
pub(super) fn close_reason(state: &FlowState) -> CloseReason {
    let reasons = [
        (FlowState::CLIENT_RESET, CloseReason::ClientReset),
        (FlowState::SERVICE_RESET, CloseReason::TargetReset),
        (FlowState::CLIENT_CLOSED, CloseReason::ClientClosed),
        (FlowState::SERVICE_CLOSED, CloseReason::TargetClosed),
    ];
    let seen = reasons.iter().find(|(flag, _)| state.has(*flag));
    seen.map_or(CloseReason::Interrupted, |(_, reason)| *reason)
}
