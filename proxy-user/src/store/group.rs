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
    record::{Batch, Commit, Committing, Entry, FlowId, Ids, Origin, Record, Timestamp},
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

/// Called after each commit with the flows whose records are safe now.
pub type OnSettled = Box<dyn Fn(Vec<FlowId>) + Send>;

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
    /// Starts the writer's thread; ids continue above `last`.
    pub fn start(
        store: impl Commit,
        last: Option<Uuid>,
        options: WriterOptions,
        on_settled: OnSettled,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, committed) = watch::channel(last);
        let shared = Arc::new(Shared {
            options,
            queue: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
        });
        let thread = Thread {
            shared: Arc::clone(&shared),
            ids: Ids::after(last),
            store,
            committed: sender,
            on_settled,
        };
        let handle = thread::Builder::new().name("writer".into()).spawn(move || thread.run())?;
        Ok((Self { shared, committed }, handle))
    }

    /// Queues an entry. A full queue makes the caller wait, or drops the entry and
    /// counts it, as configured; while the store fails it always drops.
    pub fn submit(&self, entry: Entry) {
        let mut queue = self.shared.queue.lock();
        while queue.entries.len() >= self.shared.options.capacity {
            let waits = self.shared.options.on_overload == Overload::Block
                && queue.stats.failing.is_none()
                && !queue.closed;
            if !waits {
                queue.drop_entry(entry);
                return;
            }
            self.shared.drained.wait(&mut queue);
        }
        queue.entries.push_back((Instant::now(), entry));
        // In between the thread waits for time to pass: waking it for each entry costs
        // as much as writing it.
        if matches!(queue.entries.len(), 1 | MOST_PER_COMMIT) {
            self.shared.filled.notify_one();
        }
    }

    /// Lets the store forget notes of flows whose kernel entries are gone.
    pub fn forget(&self, flows: impl IntoIterator<Item = FlowId>) {
        self.shared.queue.lock().forget.extend(flows);
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
    fn drop_entry(&mut self, entry: Entry) {
        self.stats.dropped += 1;
        match entry.origin {
            Origin::Userspace => {}
            Origin::Flow(flow) => self.abandoned.push(flow),
            Origin::Denied(accounted) => {
                self.stats.dropped_attempts += accounted.iter().map(|a| a.attempts).sum::<u64>();
            }
        }
    }
}

struct Thread<S> {
    shared: Arc<Shared>,
    ids: Ids,
    store: S,
    committed: watch::Sender<Option<Uuid>>,
    on_settled: OnSettled,
}

impl<S: Commit> Thread<S> {
    fn run(mut self) {
        while let Some((batch, since, abandoned)) = self.next_batch() {
            if !abandoned.is_empty() {
                (self.on_settled)(abandoned);
            }
            if !self.write(&batch, since) {
                return;
            }
        }
    }

    /// Waits for entries, then for the rest of the commit interval. `None`: closed
    /// and empty.
    fn next_batch(&mut self) -> Option<(Batch, Instant, Vec<FlowId>)> {
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
        let entries: Vec<Entry> = queue.entries.drain(..count).map(|(_, entry)| entry).collect();
        let forget = std::mem::take(&mut queue.forget);
        let abandoned = std::mem::take(&mut queue.abandoned);
        shared.drained.notify_all();
        drop(queue);
        let now = Timestamp::now();
        let number = |entry: Entry| Committing {
            record: Record { id: self.ids.next(now), draft: entry.draft },
            origin: entry.origin,
        };
        let records = entries.into_iter().map(number).collect();
        Some((Batch { records, forget }, since, abandoned))
    }

    /// Commits, again and again where the store fails. False: given up at the end.
    fn write(&mut self, batch: &Batch, since: Instant) -> bool {
        while let Err(error) = self.store.commit(batch) {
            if self.wait_for_retry(&error.to_string()) {
                let mut queue = self.shared.queue.lock();
                let lost = batch.records.len() + queue.entries.len();
                queue.stats.dropped += u64::try_from(lost).unwrap_or(u64::MAX);
                tracing::error!(records = lost, %error, "records are lost: the store cannot write");
                return false;
            }
        }
        let mut queue = self.shared.queue.lock();
        if queue.stats.failing.take().is_some() {
            tracing::info!(dropped = queue.stats.dropped, "the store writes again");
        }
        queue.stats.committed += u64::try_from(batch.records.len()).unwrap_or(u64::MAX);
        queue.stats.lag = since.elapsed();
        drop(queue);
        let settled: Vec<FlowId> = batch.records.iter().filter_map(flow_of).collect();
        if !settled.is_empty() {
            (self.on_settled)(settled);
        }
        if let Some(last) = batch.records.last() {
            self.committed.send_replace(Some(last.record.id));
        }
        true
    }

    /// Notes the failure. True: the daemon ends, there is no more waiting.
    fn wait_for_retry(&self, error: &str) -> bool {
        let mut queue = self.shared.queue.lock();
        if queue.closed {
            return true;
        }
        if queue.stats.failing.is_none() {
            tracing::error!(error, "the store cannot write; trying again until it can");
        }
        queue.stats.failing = Some(error.to_owned());
        // Whoever waits for room drops from here on.
        self.shared.drained.notify_all();
        let until = Instant::now() + RETRY;
        while !queue.closed && !self.shared.filled.wait_until(&mut queue, until).timed_out() {}
        false
    }
}

fn flow_of(committing: &Committing) -> Option<FlowId> {
    match committing.origin {
        Origin::Flow(flow) => Some(flow),
        _ => None,
    }
}
