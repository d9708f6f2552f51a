//! `weir run`: from start to stop.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
    pin::pin,
    sync::Arc,
};

use anyhow::{Context, Result};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    backend::ApiBackend,
    begin::{Begun, begin},
    core::Core,
    country,
    datapath::Datapath,
    descriptor_store,
    gap::Gaps,
    handover::{Door, Estate, Legacy, Offered, offer},
    phase::Phase,
    signals::{Signals, Told},
    sinks,
    start::start,
    stop::{Before, Beside, hand_over, stop},
    update,
    upkeep::{self, Threads},
};
use crate::{
    api,
    config::{Config, Loaded},
    relay::{Inherited, limits},
};

/// Runs the daemon until SIGTERM or SIGINT, or until another process takes over. `path`
/// is where the configuration is read again from. To be called before there is a second
/// thread.
///
/// # Errors
/// What keeps it from starting, or from keeping its record. Restrictions that are in
/// force then stay in force.
pub fn run(path: &Path, loaded: Loaded) -> Result<()> {
    let handed = descriptor_store::handed_over();
    // Before there are listening sockets, of which a predecessor may have many.
    limits::raise().context("the file-descriptor limit cannot be raised")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(serve(path, loaded.config, handed))
}

async fn serve(path: &Path, config: Config, handed: Inherited) -> Result<()> {
    let Begun { bound, prepared, heritage, legacy } = begin(&config, handed).await?;
    for warning in bound.warnings() {
        tracing::warn!("{warning}");
    }
    let before = legacy.as_ref().map(Legacy::process);
    let starting = Box::pin(start(path, config, (prepared, heritage), bound.gate()));
    let started = starting.await;
    let running = started.with_context(|| match before {
        Some(process) => format!(
            "process {process} has let go and this one cannot start: nothing is served, what is \
             pinned stays in force"
        ),
        None => "the daemon cannot start".to_owned(),
    })?;
    let core = Arc::clone(&running.core);
    if let Some(process) = before {
        core.note("handover", "weir", &format!("took over from process {process}"));
    }
    let mut signals = Signals::listen()?;
    let listener = bound.descriptor().context("the API's listener cannot be shared")?;
    let beside = go_on_beside(&core, bound, legacy)?;
    core.enter(Phase::Running);
    let door = open_door(&core);
    announce(&core, before);

    let mut gaps = Gaps::default();
    let (doors, threads) = ((door.as_ref(), &listener), &running.threads);
    match until_the_end((&core, threads), &mut gaps, &mut signals, doors).await {
        End::Stop(ended) => {
            drop(door);
            stop(running, beside, (gaps, ended), &mut signals).await
        }
        End::Succession(offered) => {
            drop(listener);
            let succession = (gaps, offered, door);
            hand_over(&core, running.threads, beside, succession, &mut signals).await
        }
    }
}

/// Starts what is not the core's.
fn go_on_beside(core: &Arc<Core>, bound: api::Bound, legacy: Option<Legacy>) -> Result<Beside> {
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let before = Before { followed: TaskTracker::new(), abandon: CancellationToken::new() };
    if let Some(legacy) = legacy {
        before.followed.spawn(legacy.follow(core.inbox.clone(), before.abandon.clone()));
    }
    before.followed.close();
    let backend = Arc::new(ApiBackend::new(Arc::clone(core)));
    let api = tokio::spawn(api::serve(backend, bound, stop.clone()));
    tasks.spawn(upkeep::retain(Arc::clone(core), stop.clone()));
    tasks.spawn(follow_network(Arc::clone(core), stop.clone()));
    tasks.spawn(Arc::clone(core).keep_planes(stop.clone()));
    tasks.spawn(country::follow(Arc::clone(core), stop.clone()));
    tasks.spawn(update::update(Arc::clone(core), stop.clone()));
    tasks.spawn(Arc::clone(&core.certificates).run(stop.clone()));
    tasks.spawn(Arc::clone(&core.auth).keep_up(stop.clone()));
    let copying = sinks::start(core, &stop)?;
    Ok(Beside { stop, tasks, api, copying, before })
}

/// Without it the daemon runs as well as with it.
fn open_door(core: &Core) -> Option<Door> {
    let config = core.config.load_full();
    let maps = core.datapath.lock().as_ref().map(Datapath::maps);
    let opened = Door::open(&config.runtime_dir, Estate::new(maps, &config.data_dir));
    opened
        .inspect_err(|error| tracing::warn!(%error, "no other process can take over: no socket"))
        .ok()
}

/// How a daemon's time is over.
enum End<'a> {
    /// It is to stop; an error: it failed.
    Stop(Result<()>),
    /// Another process is at hand.
    Succession(Offered<'a>),
}

async fn until_the_end<'a>(
    (core, threads): (&'a Arc<Core>, &Threads),
    gaps: &mut Gaps,
    signals: &mut Signals,
    (door, api): (Option<&Door>, &OwnedFd),
) -> End<'a> {
    let mut told = pin!(until_told(core, signals));
    let mut watched = pin!(upkeep::watch(core, threads, gaps));
    loop {
        let successor = tokio::select! {
            () = &mut told => return End::Stop(Ok(())),
            failed = &mut watched => return End::Stop(failed),
            successor = async {
                match door {
                    Some(door) => door.knock().await,
                    None => std::future::pending().await,
                }
            } => successor,
        };
        if let Some(offered) = offer(core, api.as_fd(), successor).await {
            return End::Succession(offered);
        }
    }
}

/// Tells systemd and the operator.
fn announce(core: &Core, before: Option<i32>) {
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
    let forwarded = core.planes.forwarded();
    println!(
        "weir is ready: {} guarded and {} relayed services{}, interfaces {}, API on http://{}{}",
        guarded.len(),
        relayed.len(),
        if forwarded > 0 { format!(", {forwarded} of them in the kernel") } else { String::new() },
        if interfaces.is_empty() { "none".to_owned() } else { interfaces.join(" ") },
        config.api.listen,
        before.map_or_else(String::new, |process| format!(", took over from process {process}")),
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
        let core = Arc::clone(core);
        // A reload goes on whoever is waited for meanwhile. What was wrong with it is
        // logged and in the audit log.
        let reload = tokio::spawn(async move { core.reload("SIGHUP", None).await.map(drop) });
        let _ = reload.await;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    }
}
