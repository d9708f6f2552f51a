//! The engine: one thread that hands to the tracker what the kernel and the relay
//! tell, and does what the tracker asks for.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use proxy_common::{
    address::FlowKey, event::DeniedEvent, flow::FlowState, outcome::Outcome as PacketOutcome,
    reason::Reason, tables::ServiceSlot,
};

use super::kernel::Kernel;
use crate::{
    config::Service,
    datapath::{Denials, Event, Resetter, destroy},
    flow::{Count, Ended, FlowTable, Now, Opened, Output, ServiceInfo, Tracker, TrackerStats},
    geo::Database,
    policy::Policy,
    record::{CounterId, Entry, FlowId, Source},
    relay::Journal,
    store::{Pressure, Store, StoreError, Writer},
};

/// Longest time from an event or a report to its record.
const TICK: Duration = Duration::from_millis(20);
/// Between two looks while there is something to do. Nobody wakes the engine: the
/// interrupt by which a kernel program would costs more than what it has to tell.
const GATHER: Duration = Duration::from_millis(5);
/// Between two looks through all flows.
const SWEEP: Duration = Duration::from_secs(5);
/// Resets in answer to denied packets, a second.
pub(super) const MOST_RESETS: u32 = 1000;
/// Events between two looks at the clock, which cost more than most events; so many are
/// told before what follows is done.
const EVENTS_A_CLOCK: usize = 64;
/// Events between two looks into the inbox.
const MOST_EVENTS: usize = 16_384;

/// What the engine is told.
pub(super) enum Message {
    /// By the relay: a session of this 5-tuple.
    Opened(FlowKey),
    /// By the relay.
    Ended(Box<Ended>),
    /// By the relay: so many clients' datagrams were turned away.
    Refused(Arc<Service>, Reason, u64),
    /// By the writer: records of these flows are safe.
    Settled(Vec<FlowId>),
    /// By the writer: the store could be opened after the start.
    Inherited(Inherited),
    /// A generation is in force.
    Services(Services),
    /// Names of interfaces, by index.
    Interfaces(BTreeMap<u32, String>),
    /// Show what there is.
    Show(tokio::sync::oneshot::Sender<Snapshot>),
    /// Record what is open and end.
    Finish,
}

/// What changes with a generation.
pub(super) struct Services {
    pub(super) in_force: Vec<(ServiceSlot, ServiceInfo)>,
    /// Every slot that has counters.
    pub(super) slots: Vec<ServiceSlot>,
    pub(super) deny_records_per_second: u32,
    pub(super) policy: Arc<Policy>,
}

/// What the engine sees.
pub(super) struct Snapshot {
    pub(super) flows: Vec<(FlowKey, FlowState)>,
    pub(super) denials: Vec<Denials>,
    pub(super) outcomes: Vec<(PacketOutcome, u64)>,
    pub(super) tracker: TrackerStats,
    /// Flows recorded since the start, by service.
    pub(super) recorded: BTreeMap<ServiceSlot, u64>,
    /// Denied packets that were not answered because there were too many.
    pub(super) resets_suppressed: u64,
    pub(super) now: Now,
}

/// The entrance to the engine.
#[derive(Clone)]
pub(super) struct Inbox(mpsc::Sender<Message>);

impl Inbox {
    pub(super) fn channel() -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), receiver)
    }

    /// Tells the engine; one that has ended needs no telling.
    pub(super) fn tell(&self, message: Message) {
        let _ = self.0.send(message);
    }
}

/// The relay's reports wait in the inbox, at most one for each connection that the
/// relay accepted: accepting pauses while the writer is behind.
impl Journal for Inbox {
    fn opened(&self, session: &Opened) {
        self.tell(Message::Opened(session.flow));
    }

    fn ended(&self, session: Ended) {
        self.tell(Message::Ended(Box::new(session)));
    }

    fn refused(&self, service: &Arc<Service>, reason: Reason, attempts: u64) {
        self.tell(Message::Refused(Arc::clone(service), reason, attempts));
    }
}

/// What a daemon before left behind in the store.
pub(super) struct Inherited {
    pub(super) accounted: BTreeMap<CounterId, u64>,
    pub(super) committed: BTreeSet<FlowId>,
}

impl Inherited {
    /// What the store has of the maps of that epoch.
    pub(super) fn read(store: &Store, epoch: u64) -> Result<Self, StoreError> {
        Ok(Self { accounted: store.accounted(epoch)?, committed: store.committed_flows()? })
    }
}

/// The engine.
pub(super) struct Engine {
    pub(super) kernel: Option<Kernel>,
    pub(super) tracker: Tracker,
    pub(super) inbox: mpsc::Receiver<Message>,
    pub(super) writer: Writer,
    pub(super) geo: Arc<ArcSwapOption<Database>>,
    pub(super) resetter: Option<Resetter>,
    pub(super) slots: Vec<ServiceSlot>,
    /// What the counters held at the start, until it is known what was accounted for.
    pub(super) unaccounted: Vec<Count>,
    /// Answers to denied packets that may be sent in the second from `resets_since`.
    pub(super) resets_left: u32,
    pub(super) resets_since: Instant,
    /// Answers that were not sent because there were too many.
    pub(super) resets_suppressed: u64,
    /// Something came since it last slept.
    pub(super) busy: bool,
}

impl Engine {
    /// Takes over what is there, then runs until it is told to finish.
    pub(super) fn start(
        mut self,
        known: Services,
        inherited: Option<Inherited>,
    ) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("engine".into()).spawn(move || {
            self.slots = known.slots;
            self.tracker.set_services(known.in_force);
            self.begin(inherited);
            self.run();
        })
    }

    fn begin(&mut self, inherited: Option<Inherited>) {
        let Some(kernel) = &self.kernel else { return };
        let counts = kernel.counts(&self.slots);
        let Inherited { accounted, committed } = inherited.unwrap_or_else(|| {
            self.unaccounted.clone_from(&counts);
            let all = counts.iter().map(|count| (count.counter, count.attempts)).collect();
            Inherited { accounted: all, committed: BTreeSet::new() }
        });
        self.tracker.begin(&counts, &accounted, &mut self.kernel, &committed, &Now::read());
        self.act();
    }

    fn run(&mut self) {
        let (mut ticked, mut swept) = (Instant::now(), Instant::now());
        loop {
            if self.turn() {
                self.finish();
                return;
            }
            if ticked.elapsed() < TICK {
                continue;
            }
            ticked = Instant::now();
            let drained = self.drain();
            self.tracker.set_accepting(self.writer.pressure() != Pressure::Full);
            let counts = self.kernel.as_ref().filter(|_| drained);
            let counts = counts.map(|kernel| kernel.counts(&self.slots));
            self.tracker.tick(counts.as_deref(), &self.kernel, &Now::read());
            self.act();
            if drained && swept.elapsed() >= SWEEP {
                swept = Instant::now();
                self.sweep();
            }
        }
    }

    /// Sleeps, then takes what came meanwhile. True: it is time to finish.
    fn turn(&mut self) -> bool {
        thread::sleep(if self.busy { GATHER } else { TICK });
        let messages: Vec<Message> = self.inbox.try_iter().collect();
        self.busy = !messages.is_empty();
        // The end of a flow precedes the relay's report of it: told in that order, the
        // two meet without a look at the kernel's map.
        self.drain();
        let (now, mut finishes) = (Now::read(), false);
        for message in messages {
            finishes |= matches!(message, Message::Finish);
            self.hear(message, &now);
        }
        self.act();
        finishes
    }

    fn hear(&mut self, message: Message, now: &Now) {
        match message {
            Message::Opened(flow) => self.tracker.opened(flow),
            Message::Ended(report) => self.tracker.ended(*report, &mut self.kernel, now),
            Message::Refused(service, reason, attempts) => {
                self.tracker.refused(&service, reason, attempts, now);
            }
            Message::Settled(flows) => self.tracker.committed(&flows),
            Message::Inherited(Inherited { accounted, committed }) => {
                let counts = std::mem::take(&mut self.unaccounted);
                self.tracker.inherit(&counts, &accounted, &committed, now);
            }
            Message::Services(services) => self.take_services(services, now),
            Message::Interfaces(names) => self.tracker.set_interfaces(names),
            // Nobody waits for the answer any more where it cannot be sent.
            Message::Show(reply) => drop(reply.send(self.snapshot(*now))),
            Message::Finish => {}
        }
    }

    fn take_services(&mut self, services: Services, now: &Now) {
        self.tracker.set_services(services.in_force);
        self.tracker.set_limit(services.deny_records_per_second);
        self.slots = services.slots;
        let judge = |service: &str, client| services.policy.judge(service, client);
        self.tracker.rejudge(&mut self.kernel, judge, now);
        self.act();
        self.sweep();
    }

    fn sweep(&mut self) {
        self.tracker.sweep(&mut self.kernel, &Now::read());
        self.act();
    }

    fn snapshot(&self, now: Now) -> Snapshot {
        let kernel = self.kernel.as_ref();
        Snapshot {
            flows: self.kernel.all().collect(),
            denials: kernel.map(|kernel| kernel.denials(&self.slots)).unwrap_or_default(),
            outcomes: kernel.map(Kernel::outcomes).unwrap_or_default(),
            tracker: self.tracker.stats(),
            recorded: self.tracker.recorded_flows().clone(),
            resets_suppressed: self.resets_suppressed,
            now,
        }
    }

    /// Hands over events. True: the ring buffer is empty.
    fn drain(&mut self) -> bool {
        let mut now = Now::read();
        let mut is_empty = false;
        for number in 1..=MOST_EVENTS {
            let Some(event) = self.kernel.as_mut().and_then(Kernel::take) else {
                is_empty = true;
                break;
            };
            self.busy = true;
            if number % EVENTS_A_CLOCK == 0 {
                now = Now::read();
                self.act();
            }
            match event {
                Event::Denied(event) => {
                    self.tracker.denied(&event, &now);
                    self.answer(&event);
                }
                Event::Closed(event) => self.tracker.closed(&event, &now),
                Event::Cut(event) => self.tracker.cut(&event, &mut self.kernel, &now),
            }
        }
        self.act();
        is_empty
    }

    /// `deny = "reset"`, at a bounded rate: nobody makes this host a reflector.
    fn answer(&mut self, event: &DeniedEvent) {
        if !self.tracker.resets(event.service) {
            return;
        }
        if self.resets_since.elapsed() >= Duration::from_secs(1) {
            (self.resets_since, self.resets_left) = (Instant::now(), MOST_RESETS);
        }
        if self.resets_left == 0 {
            self.resets_suppressed += 1;
            return;
        }
        self.resets_left -= 1;
        if let Some(Err(error)) = self.resetter.as_ref().map(|resetter| resetter.answer(event)) {
            tracing::debug!(%error, "an answer to a denied packet could not be sent");
        }
    }

    fn act(&mut self) {
        let (mut entries, mut forgotten) = (Vec::new(), Vec::new());
        for output in self.tracker.take() {
            match output {
                Output::Record(mut entry) => {
                    self.locate(&mut entry);
                    entries.push(entry);
                }
                Output::Delete(flow) => {
                    if let Some(kernel) = &mut self.kernel {
                        kernel.delete(&flow);
                    }
                }
                Output::Forget(flow) => forgotten.push(flow),
                Output::Reset(flow) => {
                    if let Err(error) = self.reset(&flow) {
                        tracing::warn!(%error, ?flow, "a connection could not be reset");
                    }
                }
            }
        }
        if !entries.is_empty() {
            self.writer.submit(entries.into_iter().map(|entry| *entry));
        }
        // Together: the store notes many flows in a row, and removes that once.
        if !forgotten.is_empty() {
            self.writer.forget(forgotten);
        }
    }

    /// A flow to a container, say, has no socket of this host: its client is told by a
    /// packet.
    fn reset(&self, flow: &FlowKey) -> io::Result<()> {
        if destroy(flow)? {
            return Ok(());
        }
        match (&self.resetter, self.kernel.get(flow)) {
            (Some(resetter), Some(state)) => Ok(resetter.cut(flow, &state)?),
            _ => Ok(()),
        }
    }

    fn locate(&self, entry: &mut Entry) {
        if let (Source::Address(address), Some(geo)) = (entry.draft.source, &*self.geo.load()) {
            entry.draft.location = geo.locate(address);
        }
    }

    fn finish(&mut self) {
        while !self.drain() {}
        let now = Now::read();
        while let Ok(message) = self.inbox.try_recv() {
            self.hear(message, &now);
        }
        self.act();
        let counts = self.kernel.as_ref().map(|kernel| kernel.counts(&self.slots));
        self.tracker.finish(&counts.unwrap_or_default(), &self.kernel, &now);
        self.act();
    }
}
