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
use tokio_util::sync::CancellationToken;

use super::core::Core;
use crate::store::JsonlSink;

/// Between two looks at what was committed.
const POLL: Duration = Duration::from_millis(200);
/// After a failure: a full disk, a directory that is gone.
const RETRY: Duration = Duration::from_secs(5);

/// Tells every sink to open its file again.
#[derive(Default)]
pub(super) struct Sinks {
    rotations: Arc<AtomicU64>,
}

impl Sinks {
    pub(super) fn reopen(&self) {
        self.rotations.fetch_add(1, Relaxed);
    }
}

/// Starts the configured sinks; they end with `stop`, and what they have not copied
/// then they copy after the next start.
pub(super) fn start(core: &Arc<Core>, stop: &CancellationToken) -> Result<Sinks> {
    let sinks = Sinks::default();
    let config = core.config.load();
    for settings in &config.sinks {
        let sink = JsonlSink::new(settings, &config.data_dir);
        let (core, stop) = (Arc::clone(core), stop.clone());
        let rotations = Arc::clone(&sinks.rotations);
        thread::Builder::new()
            .name("sink".into())
            .spawn(move || copy(&core, sink, &rotations, &stop))
            .context("a sink cannot be started")?;
    }
    Ok(sinks)
}

fn copy(core: &Core, mut sink: JsonlSink, rotations: &AtomicU64, stop: &CancellationToken) {
    let mut seen = rotations.load(Relaxed);
    let mut failing = false;
    while !stop.is_cancelled() {
        let now = rotations.load(Relaxed);
        if now != seen {
            seen = now;
            sink.reopen();
        }
        let last = *core.writer.committed().borrow();
        let Some(through) = last.filter(|id| !sink.is_at(*id)) else {
            thread::sleep(POLL);
            continue;
        };
        match sink.step(&core.store, through) {
            Ok(_) => failing = false,
            Err(error) => {
                if !failing {
                    tracing::error!(%error, "a sink cannot be written; trying again");
                }
                failing = true;
                sink.reopen();
                thread::sleep(RETRY);
            }
        }
    }
}
