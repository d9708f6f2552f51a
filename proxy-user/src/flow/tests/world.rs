//! A kernel and a store to simulate with: everything that a real one may do to the
//! tracker, events lost and daemons killed included.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use proxy_common::{
    address::FlowKey,
    event::{ClosedEvent, DeniedEvent, KIND_CLOSED, KIND_DENIED},
    flow::{FlowState, Half},
    packet::Segment,
    reason::Reason,
};

use super::{datagrams::Datagrams, maps::Flows};
use crate::{
    config::{
        Access, Denial, Destination, Forwarding, Listen, ListenAddress, Mode, ProxyProtocol,
        Service, Target,
    },
    flow::{
        Admission, Bytes, Count, Ended, Fate, Now, Opened, Outcome, Output, ServiceInfo, Tracker,
        UdpPast,
    },
    record::{CloseReason, CounterId, Draft, Entry, FlowId, Timestamp},
};

pub(super) const GUARD: u16 = 0;
pub(super) const RELAY: u16 = 1;
pub(super) const UDP_GUARD: u16 = 2;
pub(super) const UDP_RELAY: u16 = 3;
/// Of a listener of HTTP alone, which the kernel lets everyone in to.
pub(super) const HTTP: u16 = 4;
pub(super) const LIMIT: u32 = 3;

pub(super) struct World {
    pub(super) tracker: Tracker,
    pub(super) table: Flows,
    pub(super) attempts: BTreeMap<CounterId, u64>,
    /// Events on their way through the ring buffer.
    pub(super) ring: Vec<DeniedEvent>,
    pub(super) closing: Vec<ClosedEvent>,
    /// Connections that wait in a queue which outlives the daemon.
    pub(super) queued: BTreeSet<FlowKey>,
    /// Sessions that the relay has open.
    pub(super) sessions: Vec<Opened>,
    pub(super) udp: Datagrams,
    pending: Vec<Entry>,
    pub(super) written: Vec<Entry>,
    accounted: BTreeMap<CounterId, u64>,
    committed: BTreeSet<FlowId>,
    /// What the kernel plane is to do.
    pub(super) plane: Vec<Output>,
    pub(super) resets: Vec<FlowKey>,
    start: Instant,
    pub(super) milliseconds: u64,
}

pub(super) fn key(client: u8, port: u16, service: u16) -> FlowKey {
    FlowKey {
        client: IpAddr::V4(Ipv4Addr::new(198, 51, 100, client)).into(),
        service: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)).into(),
        client_port: port,
        service_port: 1000 + service,
        protocol: mode(service).transport().into(),
    }
}

fn mode(slot: u16) -> Mode {
    match slot {
        UDP_GUARD | UDP_RELAY => Mode::Udp,
        HTTP => Mode::Http,
        _ => Mode::Tcp,
    }
}

pub(super) fn service(slot: u16) -> Service {
    Service {
        name: ["guard", "relay", "udp-guard", "udp-relay", "http"][usize::from(slot)].into(),
        domain: None,
        listen: vec![Listen { address: ListenAddress::Any, port: 1000 + slot }],
        destination: if [GUARD, UDP_GUARD].contains(&slot) {
            Destination::Host
        } else {
            Target::Address(([192, 0, 2, 9], 80).into()).into()
        },
        access: Access::OPEN,
        deny: Denial::Drop,
        connect_timeout: Duration::from_secs(5),
        idle_timeout: match mode(slot) {
            Mode::Udp => Duration::from_secs(30),
            _ => Duration::from_hours(1),
        },
        max_connections: 100.try_into().unwrap(),
        proxy_protocol: ProxyProtocol::default(),
        forwarding: Forwarding::default(),
        mode: mode(slot),
    }
}

/// How a connection of it ends, mostly.
fn outcome(service: &Service) -> Outcome {
    if service.mode == Mode::Http {
        return Outcome::Recorded;
    }
    let fate = Fate::Served {
        target: ([192, 0, 2, 9], 80).into(),
        bytes: Bytes { up: 1, down: 2 },
        datagrams: crate::flow::Datagrams::default(),
        close_reason: CloseReason::TargetClosed,
    };
    Outcome::Admitted { admission: Admission::default(), fate }
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            tracker: Tracker::new(1, LIMIT),
            table: Flows::default(),
            attempts: BTreeMap::new(),
            ring: Vec::new(),
            closing: Vec::new(),
            queued: BTreeSet::new(),
            sessions: Vec::new(),
            udp: Datagrams::default(),
            pending: Vec::new(),
            written: Vec::new(),
            accounted: BTreeMap::new(),
            committed: BTreeSet::new(),
            plane: Vec::new(),
            resets: Vec::new(),
            start: Instant::now(),
            milliseconds: 1_000_000,
        };
        world.begin(None);
        world
    }

    pub(super) fn now(&self) -> Now {
        Now {
            instant: self.start + Duration::from_millis(self.milliseconds),
            monotonic: self.milliseconds * 1_000_000,
            wall: Timestamp(1_700_000_000_000 + i64::try_from(self.milliseconds).unwrap()),
        }
    }

    /// `left`: by another process, which reports.
    fn begin(&mut self, left: Option<(&[FlowKey], UdpPast)>) {
        self.tracker = Tracker::new(1, LIMIT);
        let slots = [GUARD, RELAY, UDP_GUARD, UDP_RELAY];
        let services = slots.map(|slot| (slot, ServiceInfo::from(&service(slot))));
        let http_only = ServiceInfo::shared(std::iter::once(&service(HTTP)));
        let services = services.into_iter().chain([(HTTP, http_only)]);
        self.tracker.set_services(services.collect());
        let served = left.is_some();
        if let Some((expected, past)) = left {
            self.tracker.take_over(expected, past);
        }
        let (counts, now) = (self.counts(), self.now());
        let (counters, table) = ((&*counts, &self.accounted), &mut self.table);
        let reported = |key: &FlowKey, _: &FlowState| served || self.queued.contains(key);
        self.tracker.begin(counters, table, &self.committed, reported, &now);
        self.act();
    }

    /// The daemon is killed and started again: what was not committed is gone, the
    /// relay's connections end with it. Events that were read with it are, too.
    pub(super) fn crash(&mut self) {
        self.crash_before(|_| {});
    }

    /// As [`Self::crash`], and more happens before the start.
    pub(super) fn crash_before(&mut self, start: impl FnOnce(&mut Self)) {
        self.pending.clear();
        self.sessions.clear();
        self.udp.crash();
        start(self);
        self.begin(None);
    }

    /// The daemon is killed while it serves `key`. Another connection of the same 5-tuple
    /// waits in the listener's queue, and the next daemon takes it.
    pub(super) fn crash_and_reuse(&mut self, key: FlowKey, service: u16) {
        self.end(key, true);
        let state = *self.table.get_mut(&key).unwrap();
        self.crash_before(|world| {
            world.milliseconds += 1000;
            world.open(key, service, true);
            world.queued.insert(key);
        });
        self.queued.remove(&key);
        self.closing.push(ClosedEvent { kind: KIND_CLOSED, replaced: 1, key, state });
        self.tracker.opened(key);
    }

    /// Another daemon takes over while this one's relay serves its sessions to the end,
    /// or, where it is `killed` meanwhile, does not.
    pub(super) fn take_over(&mut self, killed: bool) {
        self.drain();
        let now = self.now();
        let left = self.tracker.hand_over(&self.table, &now);
        self.act();
        self.commit();
        self.udp.take_over();
        self.begin(Some((&left.expected, left.past)));
        // Services and policy come in force before anything that is still on its way.
        self.sweep();
        if killed {
            self.sessions.clear();
            self.udp.kill_before();
            for key in left.expected {
                self.tracker.lost(key, &mut self.table, &now);
            }
        } else {
            for report in left.reports {
                self.tracker.ended(report, &mut self.table, &now);
            }
        }
        self.act();
    }

    /// A connection is established, perhaps in an ended one's place, of which the event
    /// may be lost.
    pub(super) fn open(&mut self, key: FlowKey, service: u16, lost: bool) {
        let open = self.sessions.iter().any(|session| session.flow == key);
        if self.table.get(&key).is_some_and(|state| !state.has(FlowState::ENDED)) || open {
            return;
        }
        if let Some(state) = self.table.remove(&key) {
            self.table.parked.insert(FlowId { key, started: state.started }, state);
            if !lost {
                self.closing.push(ClosedEvent { kind: KIND_CLOSED, replaced: 1, key, state });
            }
        }
        let time = self.now().monotonic;
        let is_relayed = [RELAY, HTTP].contains(&service);
        let relayed = if is_relayed { FlowState::RELAYED } else { 0 };
        let half = Half { packets: 3, ..Half::default() };
        let state = FlowState {
            started: time,
            last_packet: time,
            last_payload: time,
            flags: FlowState::ESTABLISHED | relayed,
            service,
            up: half,
            down: half,
            ..FlowState::default()
        };
        self.table.insert(key, state);
        if is_relayed {
            let session = Opened {
                flow: key,
                service: Arc::new(self::service(service)),
                introduction: None,
                admission: Admission::default(),
                started: self.now().instant,
            };
            self.drain();
            self.tracker.opened(session.flow);
            self.sessions.push(session);
        }
    }

    /// The kernel sees a flow's end; its event may be lost.
    pub(super) fn end(&mut self, key: FlowKey, lost: bool) {
        let time = self.now().monotonic;
        let Some(state) = self.table.get_mut(&key) else { return };
        if state.has(FlowState::ENDED) {
            return;
        }
        state.flags |= FlowState::ENDED | FlowState::CLIENT_CLOSED;
        state.last_packet = time;
        if !lost {
            self.closing.push(ClosedEvent { kind: KIND_CLOSED, replaced: 0, key, state: *state });
        }
    }

    /// The relay is done with its connections to `key`.
    pub(super) fn report(&mut self, key: FlowKey) {
        self.report_as(key, |_| {});
    }

    /// As [`Self::report`], with other things told.
    pub(super) fn report_as(&mut self, key: FlowKey, tell: impl FnOnce(&mut Ended)) {
        let Some(at) = self.sessions.iter().position(|session| session.flow == key) else { return };
        let session = self.sessions.remove(at);
        let now = self.now();
        let mut report = Ended {
            flow: key,
            outcome: outcome(&session.service),
            service: Some(session.service),
            introduction: session.introduction,
            started: session.started,
            ended: now.instant,
        };
        tell(&mut report);
        self.drain();
        self.tracker.ended(report, &mut self.table, &now);
        self.act();
    }

    pub(super) fn deny(&mut self, client: u8, cpu: u32, lost: bool) {
        let counter =
            CounterId { epoch: 1, service: GUARD, reason: Reason::IpRestricted as u8, cpu };
        let attempts = self.attempts.entry(counter).or_default();
        *attempts += 1;
        if !lost {
            self.ring.push(DeniedEvent {
                kind: KIND_DENIED,
                cpu,
                ordinal: *attempts,
                time: self.milliseconds * 1_000_000,
                key: key(client, 4000, GUARD),
                segment: Segment::default(),
                service: GUARD,
                reason: counter.reason,
                hook: 1,
                interface: 2,
            });
        }
    }

    fn counts(&self) -> Vec<Count> {
        self.attempts.iter().map(|(c, n)| Count { counter: *c, attempts: *n }).collect()
    }

    fn drain(&mut self) {
        let now = self.now();
        for event in std::mem::take(&mut self.ring) {
            self.tracker.denied(&event, &now);
        }
        for event in std::mem::take(&mut self.closing) {
            self.tracker.closed(&event, &now);
        }
        self.act();
    }

    pub(super) fn tick(&mut self, milliseconds: u64) {
        self.milliseconds += milliseconds;
        self.drain();
        let (counts, now) = (self.counts(), self.now());
        self.tracker.tick(Some(&counts), &self.table, &now);
        self.act();
    }

    pub(super) fn sweep(&mut self) {
        self.drain();
        let now = self.now();
        self.tracker.sweep(&mut self.table, &now);
        self.act();
    }

    pub(super) fn finish(&mut self) {
        self.drain();
        let (counts, now) = (self.counts(), self.now());
        let queued = |key: &FlowKey, _: &FlowState| self.queued.contains(key);
        self.tracker.finish(&counts, (&self.table, queued), &now);
        self.act();
        self.commit();
    }

    pub(super) fn commit(&mut self) {
        let mut flows = Vec::new();
        for entry in std::mem::take(&mut self.pending) {
            self.committed.extend(entry.origin.flows());
            flows.extend(entry.origin.flows());
            for part in entry.origin.accounted() {
                *self.accounted.entry(part.counter).or_default() += part.attempts;
            }
            self.written.push(entry);
        }
        self.tracker.committed(&flows);
        self.act();
    }

    pub(super) fn act(&mut self) {
        for output in self.tracker.take() {
            match output {
                Output::Record(entry) => self.pending.push(*entry),
                Output::Delete(flow) => self.table.delete(&flow),
                Output::Forget(flow) => drop(self.committed.remove(&flow)),
                Output::Reset(key) => self.resets.push(key),
                other => self.plane.push(other),
            }
        }
    }

    /// Drafts that wait or are written.
    pub(super) fn drafts(&self) -> Vec<&Draft> {
        self.written.iter().chain(&self.pending).map(|entry| &entry.draft).collect()
    }
}
