//! The engine: one thread that hands to the tracker what the kernel and the relay
//! tell, and does what the tracker asks for.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use proxy_common::{address::FlowKey, event::DeniedEvent, flow::FlowState, tables::ServiceSlot};
use tokio::sync::mpsc::UnboundedSender;

use super::{
    forwarding::TargetFailure,
    inbox::{Message, Queues, Services, Snapshot},
    kernel::Kernel,
    succession::{Bequest, Left, Noted, Queue, Standing},
};
use crate::{
    datapath::{Event, Resetter, destroy},
    flow::{Count, FlowTable, Now, Output, Tracker, Unreported},
    geo::Database,
    record::{Entry, Source},
    store::{Pressure, Writer},
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

/// How an engine ends.
enum End {
    Finish(Queues),
    HandOver,
}

/// The engine.
pub(super) struct Engine {
    pub(super) kernel: Option<Kernel>,
    pub(super) tracker: Tracker,
    pub(super) inbox: mpsc::Receiver<Message>,
    pub(super) writer: Writer,
    pub(super) geo: Arc<ArcSwapOption<Database>>,
    pub(super) resetter: Option<Resetter>,
    /// Who hears of targets that the kernel plane finds failing.
    pub(super) failures: UnboundedSender<TargetFailure>,
    /// Translations of no flow, seen once.
    pub(super) orphans: BTreeSet<FlowKey>,
    pub(super) dials_seen: Instant,
    pub(super) slots: Vec<ServiceSlot>,
    /// What the counters held at the start, until it is known what was accounted for.
    pub(super) unaccounted: Vec<Count>,
    pub(super) standing: Standing,
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
        inherited: Option<Noted>,
    ) -> io::Result<JoinHandle<Left>> {
        self.slots = known.slots;
        self.tracker.set_services(known.in_force);
        // Here, since the relay accepts when this returns: whom it serves by then was not
        // left by a daemon before.
        self.begin(inherited);
        thread::Builder::new().name("engine".into()).spawn(move || {
            let unreported = self.run();
            Left { unreported, inbox: self.inbox }
        })
    }

    fn begin(&mut self, inherited: Option<Noted>) {
        let mut standing = std::mem::take(&mut self.standing);
        let Bequest { expected, past } = standing.take_bequest();
        self.tracker.take_over(&expected, past);
        let Some(kernel) = &self.kernel else { return };
        let counts = kernel.counts(&self.slots);
        let Noted { accounted, committed } = inherited.unwrap_or_else(|| {
            self.unaccounted.clone_from(&counts);
            let all = counts.iter().map(|count| (count.counter, count.attempts)).collect();
            Noted { accounted: all, committed: BTreeSet::new() }
        });
        let counters = (&*counts, &accounted);
        let reported = |flow: &FlowKey, state: &FlowState| standing.reported(flow, state);
        self.tracker.begin(counters, &mut self.kernel, &committed, reported, &Now::read());
        self.act();
    }

    fn run(&mut self) -> Unreported {
        let (mut ticked, mut swept) = (Instant::now(), Instant::now());
        loop {
            match self.turn() {
                None => {}
                Some(End::Finish(queues)) => {
                    self.finish(queues);
                    return Unreported::default();
                }
                Some(End::HandOver) => return self.hand_over(),
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
            self.look_at_dials();
            self.act();
            if drained && swept.elapsed() >= SWEEP {
                swept = Instant::now();
                self.sweep();
            }
        }
    }

    /// Sleeps, then takes what came meanwhile. It may be time to end.
    fn turn(&mut self) -> Option<End> {
        thread::sleep(if self.busy { GATHER } else { TICK });
        let mut messages = Vec::new();
        for message in self.inbox.try_iter() {
            match message {
                // Before any event of a flow to them.
                Message::Targets(targets) => self.tracker.set_targets(targets),
                message => messages.push(message),
            }
        }
        self.busy = !messages.is_empty();
        // The end of a flow precedes the relay's report of it: told in that order, the
        // two meet without a look at the kernel's map.
        self.drain();
        let (now, mut end) = (Now::read(), None);
        for message in messages {
            match message {
                Message::Finish(queues) => end = Some(End::Finish(queues)),
                Message::HandOver => end = Some(End::HandOver),
                message => self.hear(message, &now),
            }
        }
        self.act();
        end
    }

    fn hear(&mut self, message: Message, now: &Now) {
        match message {
            Message::Opened(flow) => self.tracker.opened(flow),
            Message::OpenedElsewhere(flow) => self.tracker.opened_elsewhere(flow),
            Message::Ended(report) => self.tracker.ended(*report, &mut self.kernel, now),
            Message::Request(draft) => self.tracker.request(draft, now),
            Message::Refused(service, reason, attempts) => {
                self.tracker.refused(&service, reason, attempts, now);
            }
            Message::Settled(flows) => self.tracker.committed(&flows),
            Message::Inherited(Noted { accounted, committed }) => {
                let counts = std::mem::take(&mut self.unaccounted);
                self.tracker.inherit(&counts, &accounted, &committed, now);
            }
            Message::Services(services) => self.take_services(services, now),
            Message::Targets(targets) => self.tracker.set_targets(targets),
            Message::Interfaces(names) => self.tracker.set_interfaces(names),
            // Nobody waits for the answer any more where it cannot be sent.
            Message::Show(reply) => drop(reply.send(self.snapshot(*now))),
            Message::Lost(flows) => {
                for flow in flows {
                    self.tracker.lost(flow, &mut self.kernel, now);
                }
            }
            Message::LeaveUnread => self.tracker.leave_unread(now),
            Message::DrainForwarded { all } => {
                self.tracker.drain_forwarded(&mut self.kernel, all, now);
            }
            Message::HandOver | Message::Finish(_) => {}
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
        self.clear_translations();
    }

    fn snapshot(&self, now: Now) -> Snapshot {
        let kernel = self.kernel.as_ref();
        Snapshot {
            flows: self.kernel.all().collect(),
            denials: kernel.map(|kernel| kernel.denials(&self.slots)).unwrap_or_default(),
            outcomes: kernel.map(Kernel::outcomes).unwrap_or_default(),
            tracker: self.tracker.stats(),
            recorded: self.tracker.recorded_flows().clone(),
            requests: self.tracker.requests().clone(),
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
                Event::Plane(event) => self.plea(&event, &now),
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
        if !self.may_answer() {
            return;
        }
        if let Some(Err(error)) = self.resetter.as_ref().map(|resetter| resetter.answer(event)) {
            tracing::debug!(%error, "an answer to a denied packet could not be sent");
        }
    }

    /// Whether one more answer may be sent in this second.
    pub(super) fn may_answer(&mut self) -> bool {
        if self.resets_since.elapsed() >= Duration::from_secs(1) {
            (self.resets_since, self.resets_left) = (Instant::now(), MOST_RESETS);
        }
        if self.resets_left == 0 {
            self.resets_suppressed += 1;
            return false;
        }
        self.resets_left -= 1;
        true
    }

    pub(super) fn act(&mut self) {
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
                Output::DropDial(key) => self.plane(|plane| {
                    plane.drop_dial(&key)?;
                    plane.release(&key)
                }),
                Output::Redial(key) => self.plane(|plane| plane.release(&key)),
                Output::Refuse(key, sequence) => self.refuse(&key, sequence),
                Output::TargetFailed(service, target, error) => {
                    self.tell_target(service, target, error);
                }
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
        if let Some(state) = self.kernel.get(flow).filter(|s| s.has(FlowState::FORWARDED)) {
            return self.reset_forwarded(flow, &state);
        }
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

    /// Takes all that was told until now.
    fn take_rest(&mut self) -> Now {
        while !self.drain() {}
        let now = Now::read();
        while let Ok(message) = self.inbox.try_recv() {
            self.hear(message, &now);
        }
        self.act();
        now
    }

    fn hand_over(&mut self) -> Unreported {
        let now = self.take_rest();
        let unreported = self.tracker.hand_over(&self.kernel, &now);
        self.act();
        unreported
    }

    fn finish(&mut self, queues: Queues) {
        let now = self.take_rest();
        let counts = self.kernel.as_ref().map(|kernel| kernel.counts(&self.slots));
        let queue = Queue::default();
        let waits = |flow: &FlowKey, state: &FlowState| match queues {
            Queues::Closed => false,
            Queues::Kept => queue.holds(flow, state),
        };
        let table = (&self.kernel, waits);
        self.tracker.finish(&counts.unwrap_or_default(), table, &now);
        self.act();
    }
}
