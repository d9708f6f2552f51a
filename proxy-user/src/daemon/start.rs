//! From a configuration to a running daemon, step by step; each error says which.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;

use super::{
    core::{Changes, Core},
    country::{self, Faults},
    datapath::Datapath,
    engine::{Engine, Inbox, Inherited, MOST_RESETS, Message},
    files::relay_limits,
    gate::InForce,
    kernel::Kernel,
    lookout::Watchman,
    phase::Phase,
    reload::hex,
    sinks::Sinks,
    upkeep::{Threads, tell_damage},
};
use crate::{
    api::Gate,
    config::{Config, Keep, Loaded},
    datapath::{Resetter, follow},
    flow::Tracker,
    policy::Policy,
    record::Timestamp,
    relay::{Listeners, limits},
    store::{Audit, Store, StoreOptions, StoreWriter, Tokens, Told, Writer, WriterOptions},
};

/// Entries that wait for the writer, at most: some 30 MiB.
const QUEUE: usize = 65_536;

/// What runs, and what ends last.
pub(super) struct Running {
    pub(super) core: Arc<Core>,
    pub(super) threads: Threads,
}

/// Starts everything but the API. When this returns, restrictions are in force and
/// services are up.
pub(super) async fn start(path: &Path, loaded: Loaded, api: Arc<Gate>) -> Result<Running> {
    let config = loaded.config;
    let log = &config.log;
    let (store, store_writer) = Store::new(&config.data_dir, StoreOptions::within(log));
    store.keep_nothing(log.keep == Keep::None);
    let network = follow().await.context("the network cannot be followed")?;
    let database = country::open(&config, None);
    let geo = Arc::new(ArcSwapOption::new(database.database));
    let (datapath, kernel, kernel_fault) = match load_kernel(&config)? {
        Ok((datapath, kernel)) => (Some(datapath), Some(kernel), None),
        Err(fault) => (None, None, Some(fault)),
    };
    let (inbox, messages) = Inbox::channel();
    let epoch = kernel.as_ref().map_or(0, |kernel| kernel.epoch);
    let (writer, writer_thread) = start_writer(&config, &store, store_writer, &inbox, epoch)?;
    // A store that is not open yet is told of by the writer when it is.
    let inherited = Inherited::read(&store, epoch).ok();
    let slots = datapath.as_ref().map(Datapath::slots).unwrap_or_default();
    let engine = Engine {
        kernel,
        tracker: Tracker::new(epoch, config.log.deny_records_per_second),
        inbox: messages,
        writer: writer.clone(),
        geo: Arc::clone(&geo),
        resetter: open_resetter(),
        slots: Vec::new(),
        unaccounted: Vec::new(),
        resets_left: MOST_RESETS,
        resets_since: std::time::Instant::now(),
        resets_suppressed: 0,
        busy: false,
    };
    let gate = InForce::new(Policy::default());
    let known = super::core::services(&config, &slots, Arc::new(Policy::default()));
    let engine_thread = engine.start(known, inherited).context("the engine cannot be started")?;
    let files = limits::raise().context("the file-descriptor limit cannot be raised")?;
    let limits = relay_limits(&config, files);
    let audit = Audit::new(&config.data_dir);
    let watchman = Watchman::start(audit.clone()).context("the lookout cannot be started")?;
    let witnesses = (Arc::new(inbox.clone()) as _, Arc::new(watchman) as _);
    let relay = Listeners::new(Arc::clone(&gate) as _, witnesses, limits)
        .context("the relay cannot be started")?;
    let first_table = datapath.as_ref().map_or(1, Datapath::next_table);
    let core = Arc::new(Core {
        config_path: path.to_owned(),
        started_at: Timestamp::now(),
        config: ArcSwap::from_pointee(config.clone()),
        gate,
        geo,
        geo_faults: Mutex::new(Faults { file: database.fault, update: None }),
        relay,
        datapath: Mutex::new(datapath),
        kernel_fault,
        coverage: Mutex::default(),
        inbox,
        writer,
        store,
        audit,
        tokens: open_tokens(&config),
        network,
        api,
        sinks: Sinks::of(&config),
        phase: Mutex::new(Phase::Starting),
        unconfirmed: AsyncMutex::default(),
        changes: AsyncMutex::new(Changes::new(first_table, database.holder)),
        accepted: Mutex::default(),
    });
    let digest = hex(&config.digest);
    // The policy first, so that no interface is ever watched without one.
    core.apply(config).await?;
    core.follow_network();
    require_coverage(&core)?;
    core.remove_other_layouts();
    core.note("start", "weir", &format!("configuration {digest}"));
    tell_damage(&core);
    Ok(Running { core, threads: Threads { engine: engine_thread, writer: writer_thread } })
}

/// Datapath and kernel, or why there are none.
type Loading = Result<(Datapath, Kernel), String>;

fn load_kernel(config: &Config) -> Result<Loading> {
    match Datapath::load(&config.kernel) {
        Ok(loaded) => Ok(Ok(loaded)),
        Err(error) if config.kernel.required => Err(error.context(
            "the kernel's side cannot be set up (kernel.required = false goes on without it)",
        )),
        Err(error) => {
            let fault = format!(
                "the relay alone enforces, guarded services are unprotected and unrecorded: \
                 {error:#}"
            );
            tracing::error!("{fault}");
            Ok(Err(fault))
        }
    }
}

/// With `kernel.required` nothing that is there to be judged may go unjudged.
fn require_coverage(core: &Core) -> Result<()> {
    let gaps: Vec<String> = core.coverage.lock().gaps().collect();
    if !core.config.load().kernel.required || gaps.is_empty() {
        return Ok(());
    }
    bail!("{} (kernel.required = false goes on all the same)", gaps.join("; "))
}

fn start_writer(
    config: &Config,
    store: &Store,
    store_writer: StoreWriter,
    inbox: &Inbox,
    epoch: u64,
) -> Result<(Writer, std::thread::JoinHandle<()>)> {
    let options = WriterOptions {
        commit_interval: config.log.commit_interval,
        capacity: QUEUE,
        on_overload: config.log.on_overload,
        on_store_failure: config.log.on_store_failure,
    };
    let (store, inbox) = (store.clone(), inbox.clone());
    let on_told = Box::new(move |told| match told {
        Told::Settled(flows) => inbox.tell(Message::Settled(flows)),
        Told::Opened => match Inherited::read(&store, epoch) {
            Ok(inherited) => inbox.tell(Message::Inherited(inherited)),
            Err(error) => tracing::error!(%error, "what was noted before cannot be read"),
        },
    });
    Writer::start(store_writer, options, on_told).context("the writer cannot be started")
}

fn open_tokens(config: &Config) -> Tokens {
    let tokens = Tokens::new(&config.data_dir);
    if let Err(error) = tokens.list() {
        tracing::error!(%error, "no API token is good until they can be read");
    }
    tokens
}

fn open_resetter() -> Option<Resetter> {
    Resetter::open()
        .inspect_err(
            |error| tracing::warn!(%error, "deny = \"reset\" cannot answer: no raw socket"),
        )
        .ok()
}
