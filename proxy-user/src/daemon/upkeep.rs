//! What goes on beside the traffic: back-pressure, gaps, retention.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{core::Core, gap::Gaps, succession::Left};
use crate::record::Timestamp;

const PRESSURE: Duration = Duration::from_millis(20);
const RETENTION: Duration = Duration::from_secs(30);

/// Threads that must not end before the daemon does.
pub(super) struct Threads {
    pub(super) engine: JoinHandle<Left>,
    pub(super) writer: JoinHandle<()>,
}

/// Watches the writer's queue and the threads until `stop`, and follows the gaps.
///
/// # Errors
/// A thread ended: the daemon cannot keep its record and must not go on.
pub(super) async fn watch(
    core: &Core,
    threads: &Threads,
    gaps: &mut Gaps,
    stop: &CancellationToken,
) -> Result<()> {
    let mut ticks = interval(PRESSURE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
        tell_damage(core);
    }
    Ok(())
}

/// Log and audit log tell each file that was found damaged and is set aside.
pub(super) fn tell_damage(core: &Core) {
    let found = [core.store.damaged(), core.audit.damaged(), core.tokens.damaged()];
    for error in found.into_iter().flatten() {
        tracing::error!("{error}; it is set aside beside where it was");
        core.note("gap", "weir", &error.to_string());
    }
}

/// Removes what is too old or too much, until `stop`.
pub(super) async fn retain(core: Arc<Core>, stop: CancellationToken) {
    let mut ticks = interval(RETENTION);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let core = Arc::clone(&core);
        let done = tokio::task::spawn_blocking(move || {
            if let Err(error) = core.audit.flush() {
                tracing::error!(%error, "the audit log cannot be written; trying again");
            }
            core.store.retain(Timestamp::now(), &core.config.load().log)
        });
        if let Ok(Err(error)) = done.await {
            tracing::error!(%error, "old records cannot be removed");
        }
    }
}
