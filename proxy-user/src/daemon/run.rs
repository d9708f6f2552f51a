//! `weir run`: from start to stop.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    backend::ApiBackend, core::Core, country, datapath::Datapath, sinks, start::start, upkeep,
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
    let running = start(path, loaded, bound.gate()).await?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let core = Arc::clone(&running.core);
    let backend = ApiBackend::new(Arc::clone(&core));
    tasks.spawn(api::serve(Arc::new(backend), bound, stop.clone()));
    tasks.spawn(upkeep::retain(Arc::clone(&core), stop.clone()));
    tasks.spawn(follow_network(Arc::clone(&core), stop.clone()));
    if let Some(holder) = running.holder {
        tasks.spawn(country::follow(Arc::clone(&core), holder, stop.clone()));
    }
    let sinks = sinks::start(&core, &stop)?;
    announce(&core);

    let ended = tokio::select! {
        signalled = until_told(&core, &sinks) => signalled,
        failed = upkeep::watch(&core, &running.threads, &stop) => failed,
    };
    stop_everything(core, running.threads, stop, tasks, ended).await
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
    let mut gateways = network.borrow_and_update().gateways.clone();
    while let Some(Ok(())) = stop.run_until_cancelled(network.changed()).await {
        let now = network.borrow_and_update().gateways.clone();
        tokio::task::block_in_place(|| core.follow_network());
        if now != gateways {
            gateways = now;
            if let Err(error) = core.refresh().await {
                tracing::error!("a change of gateways is not in force: {error:#}");
            }
        }
    }
}

/// Serves SIGHUP until SIGTERM or SIGINT.
async fn until_told(core: &Arc<Core>, sinks: &sinks::Sinks) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Reloading]);
                sinks.reopen();
                // What was wrong is logged and in the audit log.
                let _ = core.reload("SIGHUP", None).await;
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
            }
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

/// Listeners first, then sessions, programs, records. After a failure the kernel's
/// restrictions stay.
async fn stop_everything(
    core: Arc<Core>,
    threads: upkeep::Threads,
    stop: CancellationToken,
    tasks: TaskTracker,
    ended: Result<()>,
) -> Result<()> {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping: sessions may finish for {} s", DRAIN.as_secs());
    core.relay.drain(DRAIN).await;
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
    upkeep::note_end(&core);
    core.note("stop", "weir", if clean { "clean" } else { "after a failure" });
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    anyhow::ensure!(kept || !clean, "a thread that keeps the record ended unexpectedly");
    ended.and(removed)
}
