//! Sinks: a thread each, woken by commits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::{runtime::Handle, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{core::Core, upkeep::have_ended};
use crate::{
    api::model::SinkStatus,
    config::{Config, Sink, SinkKind},
    record::Timestamp,
    store::{SinkWriter, Store, StoreError},
};

/// Between two looks at what was committed.
const POLL: Duration = Duration::from_millis(200);
/// After a failure: a full disk, a directory that is gone.
const RETRY: Duration = Duration::from_secs(5);
/// How long sinks are waited for at their end.
const PATIENCE: Duration = Duration::from_secs(1);
/// Records behind are counted up to here: status is asked for often.
const MOST_BEHIND: usize = 100_000;

/// The configured sinks, and how they fare.
pub(super) struct Sinks {
    rotations: AtomicU64,
    each: Vec<Arc<Fare>>,
}

/// How a sink fares.
struct Fare {
    settings: Sink,
    reached: Mutex<Option<Uuid>>,
    /// Since when it cannot be written, and why.
    failing: Mutex<Option<(Timestamp, String)>>,
}

impl Sinks {
    pub(super) fn of(config: &Config) -> Self {
        let fare = |settings: &Sink| {
            let settings = settings.clone();
            Arc::new(Fare { settings, reached: Mutex::default(), failing: Mutex::default() })
        };
        Self { rotations: AtomicU64::new(0), each: config.sinks.iter().map(fare).collect() }
    }

    /// Tells every sink to open its file again.
    pub(super) fn reopen(&self) {
        self.rotations.fetch_add(1, Relaxed);
    }

    pub(super) fn status(&self, store: &Store) -> Vec<SinkStatus> {
        self.each.iter().map(|fare| fare.status(store)).collect()
    }
}

impl Fare {
    fn status(&self, store: &Store) -> SinkStatus {
        let reached = *self.reached.lock();
        let (failing_since, error) = self.failing.lock().clone().unzip();
        SinkStatus {
            path: match &self.settings.kind {
                SinkKind::JsonlFile(path) => path.display().to_string(),
                SinkKind::JsonlStdout => "-".to_owned(),
                SinkKind::Syslog(address) => address.to_string(),
            },
            // A store that cannot be read is told of beside, and hides nothing else.
            behind: store.backlog(reached, MOST_BEHIND).ok().map(|count| count as u64),
            failing_since,
            error,
        }
    }

    /// Notes how a step went. A failure is logged once.
    fn note(&self, done: Result<(), &StoreError>) {
        let mut failing = self.failing.lock();
        match done {
            Ok(()) => *failing = None,
            Err(error) => {
                let known = failing.take();
                if known.is_none() {
                    tracing::error!(%error, "a sink cannot be written; trying again");
                }
                let since = known.map_or_else(Timestamp::now, |(since, _)| since);
                *failing = Some((since, error.to_string()));
            }
        }
    }
}

/// Threads that copy.
pub(super) struct Copying(Vec<thread::JoinHandle<()>>);

impl Copying {
    /// Waits until they have ended. One that is kept waiting by who reads is not waited
    /// for long: what it copies then may be copied again.
    pub(super) async fn end(self) {
        if !have_ended(&self.0, PATIENCE).await {
            tracing::warn!("a sink cannot be written just now: lines may be repeated");
        }
    }
}

/// Starts the configured sinks; they end with `stop`, and what they have not copied
/// then they copy after the next start.
pub(super) fn start(core: &Arc<Core>, stop: &CancellationToken) -> Result<Copying> {
    let (data_dir, runtime) = (core.config.load().data_dir.clone(), Handle::current());
    let mut copying = Vec::new();
    for fare in &core.sinks.each {
        let sink = SinkWriter::new(&fare.settings, &data_dir);
        let (core, fare) = (Arc::clone(core), Arc::clone(fare));
        let stop = Stop { token: stop.clone(), runtime: runtime.clone() };
        let thread = thread::Builder::new()
            .name("sink".into())
            .spawn(move || copy(&core, &fare, sink, &stop))
            .context("a sink cannot be started")?;
        copying.push(thread);
    }
    Ok(Copying(copying))
}

/// When a sink ends.
struct Stop {
    token: CancellationToken,
    runtime: Handle,
}

impl Stop {
    /// Sleeps, but no longer than until it is time to end.
    fn pause(&self, time: Duration) {
        self.runtime.block_on(async {
            // Whether it is time is asked next.
            let _ = timeout(time, self.token.cancelled()).await;
        });
    }
}

fn copy(core: &Core, fare: &Fare, mut sink: SinkWriter, stop: &Stop) {
    let mut seen = core.sinks.rotations.load(Relaxed);
    while !stop.token.is_cancelled() {
        *fare.reached.lock() = sink.position();
        let now = core.sinks.rotations.load(Relaxed);
        if now != seen {
            seen = now;
            sink.reopen();
        }
        let last = *core.writer.committed().borrow();
        let Some(through) = last.filter(|id| !sink.is_at(*id)) else {
            stop.pause(POLL);
            continue;
        };
        let done = sink.step(&core.store, through);
        fare.note(done.as_ref().map(drop));
        if done.is_err() {
            sink.reopen();
            stop.pause(RETRY);
        }
    }
}
