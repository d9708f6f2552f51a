//! The writer: a bounded queue, one thread, one transaction per commit interval.

use std::{
    collections::VecDeque,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    config::{Overload, StoreFailure},
    record::{Batch, Commit, CommitError, Committing, Entry, FlowId, Ids, Record, Timestamp},
};

/// Entries of one transaction.
const MOST_PER_COMMIT: usize = 8192;
/// Between two attempts of a store that fails.
const RETRY: Duration = Duration::from_millis(500);

/// How the writer behaves.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// Longest time from an entry to its commit, while the store keeps up.
    pub commit_interval: Duration,
    /// Entries that may wait.
    pub capacity: usize,
    /// What happens when they are more.
    pub on_overload: Overload,
    /// What happens to traffic when the store fails.
    pub on_store_failure: StoreFailure,
}

/// What the writer has done and not done.
#[derive(Clone, Debug, Default)]
pub struct WriterStats {
    /// Entries that wait.
    pub queued: usize,
    /// Of the oldest that waits, or of the last commit.
    pub lag: Duration,
    /// Records committed since the start.
    pub committed: u64,
    /// Records dropped since the start.
    pub dropped: u64,
    /// Attempts that dropped records stood for.
    pub dropped_attempts: u64,
    /// Why the store does not write, while it does not.
    pub failing: Option<String>,
}

/// What traffic should do about the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// Nothing.
    None,
    /// Accept no more until there is room.
    Full,
    /// The store fails, and traffic is to be refused meanwhile.
    Refuse,
}

/// The entrance to the writer.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
    committed: watch::Receiver<Option<Uuid>>,
}

/// What the writer tells of its thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The store was opened after the start: what is noted in it can be read now, and
    /// nothing is written before this is heard.
    Opened,
    /// Records of these flows are safe now, or given up.
    Settled(Vec<FlowId>),
}

/// Called with what the writer tells.
pub type OnTold = Box<dyn Fn(Told) + Send>;

struct Shared {
    options: WriterOptions,
    queue: Mutex<Queue>,
    /// Something to write, or the end.
    filled: Condvar,
    /// Room in the queue.
    drained: Condvar,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<(Instant, Entry)>,
    forget: Vec<FlowId>,
    /// Flows of dropped records: their kernel entries go all the same.
    abandoned: Vec<FlowId>,
    stats: WriterStats,
    closed: bool,
}

impl Writer {
    /// Opens the store and starts the writer's thread; ids continue above the highest
    /// in the store. One that cannot be opened yet fails like one that cannot be
    /// written: it is tried until it can.
    pub fn start(
        mut store: impl Commit,
        options: WriterOptions,
        on_told: OnTold,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let opened = store.open();
        let (sender, committed) = watch::channel(opened.as_ref().ok().copied().flatten());
        let shared = Arc::new(Shared {
            options,
            queue: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
        });
        let thread = Thread { shared: Arc::clone(&shared), store, committed: sender, on_told };
        let ids = opened.map(Ids::after).map_err(|error| thread.note_failure(&error)).ok();
        let handle = thread::Builder::new().name("writer".into()).spawn(move || thread.run(ids))?;
        Ok((Self { shared, committed }, handle))
    }

    /// Queues entries. A full queue makes the caller wait, or drops what finds no room
    /// and counts it, as configured; while the store fails it always drops.
    pub fn submit(&self, entries: impl IntoIterator<Item = Entry>) {
        let (mut queue, mut now) = (self.shared.queue.lock(), Instant::now());
        for entry in entries {
            while self.waits_for_room(&queue) {
                self.shared.drained.wait(&mut queue);
                now = Instant::now();
            }
            if queue.entries.len() >= self.shared.options.capacity {
                queue.drop_entry(&entry);
                continue;
            }
            queue.entries.push_back((now, entry));
            // In between the thread waits for time to pass: waking it for each entry
            // costs as much as writing it.
            if matches!(queue.entries.len(), 1 | MOST_PER_COMMIT) {
                self.shared.filled.notify_one();
            }
        }
    }

    fn waits_for_room(&self, queue: &Queue) -> bool {
        queue.entries.len() >= self.shared.options.capacity
            && self.shared.options.on_overload == Overload::Block
            && queue.stats.failing.is_none()
            && !queue.closed
    }

    /// Lets the store forget notes of flows whose kernel entries are gone. While it
    /// fails they wait; what finds no room is forgotten after the next start.
    pub fn forget(&self, flows: impl IntoIterator<Item = FlowId>) {
        let mut queue = self.shared.queue.lock();
        let room = self.shared.options.capacity.saturating_sub(queue.forget.len());
        queue.forget.extend(flows.into_iter().take(room));
    }

    /// What was done and not done.
    pub fn stats(&self) -> WriterStats {
        let queue = self.shared.queue.lock();
        let mut stats = queue.stats.clone();
        stats.queued = queue.entries.len();
        if let Some((since, _)) = queue.entries.front() {
            stats.lag = since.elapsed();
        }
        stats
    }

    /// What traffic should do now.
    pub fn pressure(&self) -> Pressure {
        let queue = self.shared.queue.lock();
        let options = &self.shared.options;
        if queue.stats.failing.is_some() && options.on_store_failure == StoreFailure::Refuse {
            Pressure::Refuse
        } else if queue.entries.len() >= options.capacity / 2
            && options.on_overload == Overload::Block
            && queue.stats.failing.is_none()
        {
            Pressure::Full
        } else {
            Pressure::None
        }
    }

    /// The id of the last committed record, as it changes.
    pub fn committed(&self) -> watch::Receiver<Option<Uuid>> {
        self.committed.clone()
    }

    /// Writes what is queued and ends the thread, which the caller then joins. A
    /// store that fails is tried once more and given up.
    pub fn close(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.filled.notify_all();
        self.shared.drained.notify_all();
    }
}

impl Queue {
    fn drop_entry(&mut self, entry: &Entry) {
        self.stats.dropped += 1;
        let accounted = entry.origin.accounted().iter();
        self.stats.dropped_attempts += accounted.map(|part| part.attempts).sum::<u64>();
        self.abandoned.extend(entry.origin.flows());
    }
}

struct Thread<S> {
    shared: Arc<Shared>,
    store: S,
    committed: watch::Sender<Option<Uuid>>,
    on_told: OnTold,
}

impl<S: Commit> Thread<S> {
    fn run(mut self, ids: Option<Ids>) {
        let Some(mut ids) = ids.or_else(|| self.open()) else { return };
        while let Some((batch, since)) = self.next_batch(&mut ids) {
            if !self.write(&batch, since) {
                return;
            }
        }
    }

    /// Opens the store, again and again. `None`: given up at the end.
    fn open(&mut self) -> Option<Ids> {
        let last = self.until_it_works(0, Commit::open)?;
        self.recovered();
        self.committed.send_replace(last);
        (self.on_told)(Told::Opened);
        Some(Ids::after(last))
    }

    /// Waits for entries, then for the rest of the commit interval. `None`: closed
    /// and empty.
    fn next_batch(&mut self, ids: &mut Ids) -> Option<(Batch, Instant)> {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.queue.lock();
        while queue.entries.is_empty() && !queue.closed {
            shared.filled.wait(&mut queue);
        }
        let since = queue.entries.front()?.0;
        let due = since + shared.options.commit_interval;
        while queue.entries.len() < MOST_PER_COMMIT && !queue.closed {
            if shared.filled.wait_until(&mut queue, due).timed_out() {
                break;
            }
        }
        let count = queue.entries.len().min(MOST_PER_COMMIT);
        let now = Timestamp::now();
        let number = |(_, entry): (Instant, Entry)| Committing {
            record: Record { id: ids.next(now), draft: entry.draft },
            origin: entry.origin,
        };
        let records = queue.entries.drain(..count).map(number).collect();
        let forget = std::mem::take(&mut queue.forget);
        shared.drained.notify_all();
        Some((Batch { records, forget }, since))
    }

    /// Commits. False: given up at the end.
    fn write(&mut self, batch: &Batch, since: Instant) -> bool {
        if self.until_it_works(batch.records.len(), |store| store.commit(batch)).is_none() {
            return false;
        }
        self.recovered();
        let mut queue = self.shared.queue.lock();
        queue.stats.committed += u64::try_from(batch.records.len()).unwrap_or(u64::MAX);
        queue.stats.lag = since.elapsed();
        drop(queue);
        self.settle(batch.records.iter().flat_map(|one| one.origin.flows()).copied().collect());
        self.let_go();
        if let Some(last) = batch.records.last() {
            self.committed.send_replace(Some(last.record.id));
        }
        true
    }

    /// Tries, again and again where the store fails. `None`: the daemon ends, and so
    /// many records in hand are given up with those in the queue.
    fn until_it_works<T>(
        &mut self,
        in_hand: usize,
        mut attempt: impl FnMut(&mut S) -> Result<T, CommitError>,
    ) -> Option<T> {
        loop {
            // Whoever closes it meanwhile is owed one more attempt.
            let closed = self.shared.queue.lock().closed;
            let error = match attempt(&mut self.store) {
                Ok(done) => return Some(done),
                Err(error) => error,
            };
            self.note_failure(&error);
            self.let_go();
            let mut queue = self.shared.queue.lock();
            if closed {
                let lost = in_hand + queue.entries.len();
                queue.stats.dropped += u64::try_from(lost).unwrap_or(u64::MAX);
                tracing::error!(records = lost, %error, "records are lost: the store cannot write");
                return None;
            }
            let until = Instant::now() + RETRY;
            while !queue.closed && !self.shared.filled.wait_until(&mut queue, until).timed_out() {}
        }
    }

    fn note_failure(&self, error: &CommitError) {
        let mut queue = self.shared.queue.lock();
        if queue.stats.failing.is_none() {
            tracing::error!(%error, "the store cannot write; trying again until it can");
        }
        queue.stats.failing = Some(error.to_string());
        // Whoever waits for room drops from here on.
        self.shared.drained.notify_all();
    }

    fn recovered(&self) {
        let mut queue = self.shared.queue.lock();
        if queue.stats.failing.take().is_some() {
            tracing::info!(dropped = queue.stats.dropped, "the store writes again");
        }
    }

    /// Hands over flows whose records were dropped, also while the store fails: nobody
    /// else deletes their kernel entries.
    fn let_go(&self) {
        let abandoned = std::mem::take(&mut self.shared.queue.lock().abandoned);
        self.settle(abandoned);
    }

    fn settle(&self, flows: Vec<FlowId>) {
        if !flows.is_empty() {
            (self.on_told)(Told::Settled(flows));
        }
    }
}
