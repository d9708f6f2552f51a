//! `weir run`: from start to stop.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    backend::ApiBackend,
    core::Core,
    country,
    datapath::Datapath,
    gap::Gaps,
    phase::Phase,
    signals::{Signals, Told},
    sinks,
    start::{Running, start},
    update, upkeep,
};
use crate::{api, config::Loaded};

/// How long sessions may finish after a SIGTERM.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs the daemon until SIGTERM or SIGINT. `path` is where the configuration is read
/// again from.
///
/// # Errors
/// What keeps it from starting, or from keeping its record. Restrictions that are in
/// force then stay in force.
pub fn run(path: &Path, loaded: Loaded) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(serve(path, loaded))
}

async fn serve(path: &Path, loaded: Loaded) -> Result<()> {
    let bound = api::Bound::bind(&loaded.config)?;
    for warning in bound.warnings() {
        tracing::warn!("{warning}");
    }
    let Running { core, threads } = start(path, loaded, bound.gate()).await?;
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let backend = ApiBackend::new(Arc::clone(&core));
    tasks.spawn(api::serve(Arc::new(backend), bound, stop.clone()));
    tasks.spawn(upkeep::retain(Arc::clone(&core), stop.clone()));
    tasks.spawn(follow_network(Arc::clone(&core), stop.clone()));
    tasks.spawn(country::follow(Arc::clone(&core), stop.clone()));
    tasks.spawn(update::update(Arc::clone(&core), stop.clone()));
    sinks::start(&core, &stop)?;
    core.enter(Phase::Running);
    announce(&core);

    let mut gaps = Gaps::default();
    let ended = tokio::select! {
        () = until_told(&core, &mut signals) => Ok(()),
        failed = upkeep::watch(&core, &threads, &mut gaps, &stop) => failed,
    };
    let ending = Ending { gaps, ended, stop, tasks };
    stop_everything(Running { core, threads }, ending, &mut signals).await
}

/// Tells systemd and the operator.
fn announce(core: &Core) {
    // Without a socket to notify there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let config = core.config.load();
    let (guarded, relayed): (Vec<_>, Vec<_>) = config.services.iter().partition(|s| s.is_guard());
    let interfaces: Vec<String> = core
        .datapath
        .lock()
        .iter()
        .flat_map(Datapath::attached)
        .map(|attached| attached.interface.name)
        .collect();
    println!(
        "weir is ready: {} guarded and {} relayed services, interfaces {}, API on http://{}",
        guarded.len(),
        relayed.len(),
        if interfaces.is_empty() { "none".to_owned() } else { interfaces.join(" ") },
        config.api.listen,
    );
}

async fn follow_network(core: Arc<Core>, stop: CancellationToken) {
    let mut network = core.network.clone();
    loop {
        // What changed since the start looked is seen here and nowhere else.
        network.mark_unchanged();
        tokio::task::block_in_place(|| core.follow_network());
        if let Err(error) = core.follow_gateways().await {
            tracing::error!("a change of gateways is not in force: {error:#}");
        }
        let Some(Ok(())) = stop.run_until_cancelled(network.changed()).await else { return };
    }
}

/// Serves SIGHUP until SIGTERM or SIGINT.
async fn until_told(core: &Arc<Core>, signals: &mut Signals) {
    while signals.next().await == Told::Reload {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Reloading]);
        // What was wrong is logged and in the audit log.
        let _ = core.reload("SIGHUP", None).await;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    }
}

/// What the running daemon leaves to its stop.
struct Ending {
    gaps: Gaps,
    /// An error: it failed.
    ended: Result<()>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Listeners first, then sessions, programs, records. After a failure the kernel's
/// restrictions stay.
async fn stop_everything(
    Running { core, threads }: Running,
    Ending { gaps, ended, stop, tasks }: Ending,
    signals: &mut Signals,
) -> Result<()> {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping: sessions may finish for {} s", DRAIN.as_secs());
    core.enter_stopping().await;
    tokio::select! {
        () = core.relay.drain(DRAIN) => {}
        () = signals.stop() => {
            tracing::info!("told to stop again: sessions are reset");
            core.relay.drain(Duration::ZERO).await;
        }
    }
    let clean = ended.is_ok();
    let removed = match core.datapath.lock().take() {
        Some(datapath) if clean => datapath.remove(),
        _ => Ok(()),
    };
    core.inbox.tell(super::engine::Message::Finish);
    let joined = tokio::task::spawn_blocking({
        let core = Arc::clone(&core);
        move || {
            let engine = threads.engine.join();
            core.writer.close();
            let writer = threads.writer.join();
            engine.is_ok() && writer.is_ok()
        }
    });
    let kept = joined.await.unwrap_or(false);
    if let Some(message) = gaps.end(&core.writer.stats()) {
        core.note("gap", "weir", &message);
    }
    core.note("stop", "weir", if clean { "clean" } else { "after a failure" });
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    anyhow::ensure!(kept || !clean, "a thread that keeps the record ended unexpectedly");
    ended.and(removed)
}
