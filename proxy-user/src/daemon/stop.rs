//! The daemon's end: a stop, or another process in its place.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::FutureExt;
use sd_notify::NotifyState;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    core::Core,
    gap::Gaps,
    handover::{Door, Offered, give},
    inbox::{Message, Queues},
    phase::Phase,
    signals::Signals,
    sinks::Copying,
    start::Running,
    succession::Left,
    upkeep::Threads,
};
use crate::api;

/// How long sessions may finish after a SIGTERM, or when another process has taken over.
const DRAIN: Duration = Duration::from_secs(30);
/// After a SIGTERM where the service manager holds the listening sockets: who comes
/// meanwhile waits until the daemon is started again.
const DRAIN_WHILE_HELD: Duration = Duration::from_secs(5);

/// What goes on beside the core.
pub(super) struct Beside {
    /// Ends it.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) api: JoinHandle<api::Answering>,
    pub(super) copying: Copying,
    pub(super) before: Before,
}

/// What the process before serves to its end.
pub(super) struct Before {
    /// Ends with it.
    pub(super) followed: TaskTracker,
    /// Follows it no longer.
    pub(super) abandon: CancellationToken,
}

/// Listeners first, then sessions, programs, records. After a failure the kernel's
/// restrictions stay.
pub(super) async fn stop(
    Running { core, threads }: Running,
    beside: Beside,
    (gaps, ended): (Gaps, Result<()>),
    signals: &mut Signals,
) -> Result<()> {
    // Without a socket to notify there is nobody to tell.
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    core.enter_stopping().await;
    let held = core.changes.lock().await.descriptors.is_open();
    let time = if held { DRAIN_WHILE_HELD } else { DRAIN };
    tracing::info!("stopping: sessions may finish for {} s", time.as_secs());
    let hurry = async {
        signals.stop().await;
        tracing::info!("told to stop again: sessions are reset");
    };
    if held {
        core.inbox.tell(Message::LeaveUnread);
    }
    core.retire_planes();
    drain(&core, &beside.before, time, hurry).await;
    let clean = ended.is_ok();
    let removed = match core.datapath.lock().take() {
        Some(datapath) if clean => datapath.remove(),
        _ => Ok(()),
    };
    core.inbox.tell(Message::Finish(if held { Queues::Kept } else { Queues::Closed }));
    let kept = end_threads(&core, threads).await;
    note_gap(&core, gaps);
    core.note("stop", "weir", if clean { "clean" } else { "after a failure" });
    beside.stop.cancel();
    if let Ok(answering) = beside.api.await {
        answering.end().await;
    }
    beside.copying.end().await;
    beside.tasks.close();
    beside.tasks.wait().await;
    core.auth.close();
    if clean {
        kept?;
    }
    ended.and(removed)
}

/// Lets go of everything but the open sessions, of whose ends the successor then hears.
/// `door`: where it came in, for it to open its own.
///
/// # Errors
/// The successor has ended before all of them had: those that were left are reset.
pub(super) async fn hand_over(
    core: &Core,
    threads: Threads,
    beside: Beside,
    (gaps, offered, door): (Gaps, Offered<'_>, Option<Door>),
    signals: &mut Signals,
) -> Result<()> {
    let Offered { successor, mut changes } = offered;
    let process = successor.process();
    core.enter(Phase::Stopping);
    beside.stop.cancel();
    let answering = beside.api.await;
    beside.copying.end().await;
    core.inbox.tell(Message::HandOver);
    let left = end_threads(core, threads).await?;
    note_gap(core, gaps);
    core.note("handover", "weir", &format!("process {process} takes over"));
    core.store.close();
    core.audit.close();
    core.tokens.close();
    core.auth.close();
    drop(core.datapath.lock().take());
    // The successor's to hold, where it has a service manager.
    changes.descriptors.follow(&[]);
    drop((door, changes));
    let given = give(successor, left).await;
    if given.is_ok() {
        tracing::info!(process, "it has taken over: sessions may finish for {} s", DRAIN.as_secs());
    }
    let abandoned = given.as_ref().map(|given| given.abandoned.clone()).ok();
    let hurry = async {
        tokio::select! {
            () = signals.stop() => tracing::info!("told to stop: sessions are reset"),
            () = ended(abandoned.as_ref()) => tracing::error!(
                process, "it has ended: sessions are reset, what is pinned stays in force"
            ),
        }
    };
    drain(core, &beside.before, DRAIN, hurry).await;
    core.inbox.tell(Message::Finish(Queues::Kept));
    given?.end().await.with_context(|| format!("process {process} does not hear what is left"))?;
    if let Ok(answering) = answering {
        answering.end().await;
    }
    Ok(())
}

/// Ready when the successor has ended, or there is none.
async fn ended(abandoned: Option<&CancellationToken>) {
    if let Some(abandoned) = abandoned {
        abandoned.cancelled().await;
    }
}

/// Lets sessions finish, also those that the process before serves, for `time` or until
/// there is reason to `hurry`; then resets the rest. When this returns, all is reported
/// that ever will be.
async fn drain(core: &Core, before: &Before, time: Duration, hurry: impl Future<Output = ()>) {
    let over = async {
        tokio::select! {
            () = sleep(time) => {}
            () = hurry => {}
        }
    }
    .shared();
    let follow = async {
        tokio::select! {
            () = before.followed.wait() => {}
            () = over.clone() => before.abandon.cancel(),
        }
        before.followed.wait().await;
    };
    let relayed = core.relay.drain_until(over.clone());
    tokio::join!(relayed, core.drain_planes(over.clone()), follow);
}

/// Waits until the engine and then the writer have done what they were told.
async fn end_threads(core: &Core, threads: Threads) -> Result<Left> {
    let writer = core.writer.clone();
    let joined = spawn_blocking(move || {
        let left = threads.engine.join();
        writer.close();
        threads.writer.join().and(left)
    });
    let left = joined.await.ok().and_then(Result::ok);
    left.context("a thread that keeps the record ended unexpectedly")
}

fn note_gap(core: &Core, gaps: Gaps) {
    if let Some(message) = gaps.end(&core.writer.stats()) {
        core.note("gap", "weir", &message);
    }
}
