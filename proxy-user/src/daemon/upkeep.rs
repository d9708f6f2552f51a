//! What goes on beside the traffic: back-pressure, gaps, retention.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{core::Core, gap::Gaps, succession::Left};
use crate::record::Timestamp;

const PRESSURE: Duration = Duration::from_millis(20);
/// Between two looks whether a thread has ended.
const LOOK: Duration = Duration::from_millis(5);
const RETENTION: Duration = Duration::from_secs(30);

/// Threads that must not end before the daemon does.
pub(super) struct Threads {
    pub(super) engine: JoinHandle<Left>,
    pub(super) writer: JoinHandle<()>,
}

/// Watches the writer's queue and the threads, and follows the gaps.
///
/// # Errors
/// A thread ended: the daemon cannot keep its record and must not go on.
pub(super) async fn watch(core: &Core, threads: &Threads, gaps: &mut Gaps) -> Result<()> {
    let mut ticks = interval(PRESSURE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
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
}

/// Waits until threads have ended, but no longer than `limit`; whether they have.
pub(super) async fn have_ended<T>(threads: &[JoinHandle<T>], limit: Duration) -> bool {
    let ended = async {
        while !threads.iter().all(JoinHandle::is_finished) {
            sleep(LOOK).await;
        }
    };
    timeout(limit, ended).await.is_ok()
}

/// Log and audit log tell each file that was found damaged and is set aside.
pub(super) fn tell_damage(core: &Core) {
    let found =
        [core.store.damaged(), core.audit.damaged(), core.tokens.damaged(), core.auth.damaged()];
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
