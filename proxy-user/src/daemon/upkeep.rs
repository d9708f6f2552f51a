//! What goes on beside the traffic: back-pressure, gaps, retention.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{core::Core, gap::Gaps};
use crate::record::Timestamp;

const PRESSURE: Duration = Duration::from_millis(20);
const RETENTION: Duration = Duration::from_secs(30);

/// Threads that must not end before the daemon does.
pub(super) struct Threads {
    pub(super) engine: JoinHandle<()>,
    pub(super) writer: JoinHandle<()>,
}

/// Watches the writer's queue and the threads until `stop`.
///
/// # Errors
/// A thread ended: the daemon cannot keep its record and must not go on.
pub(super) async fn watch(core: &Core, threads: &Threads, stop: &CancellationToken) -> Result<()> {
    let mut ticks = interval(PRESSURE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut gaps = Gaps::default();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if threads.engine.is_finished() || threads.writer.is_finished() {
            bail!("a thread that keeps the record ended unexpectedly");
        }
        if let Ok(_unchanged) = core.changes.try_lock() {
            core.relay.set_intake(core.intake());
        }
        if let Some(message) = gaps.look(&core.writer.stats(), Instant::now()) {
            core.note("gap", "weir", &message);
        }
    }
    Ok(())
}

/// Removes what is too old or too much, until `stop`.
pub(super) async fn retain(core: Arc<Core>, stop: CancellationToken) {
    let mut ticks = interval(RETENTION);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let core = Arc::clone(&core);
        let done = tokio::task::spawn_blocking(move || {
            core.store.retain(Timestamp::now(), &core.config.load().log)
        });
        if let Ok(Err(error)) = done.await {
            tracing::error!(%error, "old records cannot be removed");
        }
    }
}
