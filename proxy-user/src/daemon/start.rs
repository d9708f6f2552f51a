//! From a configuration to a running daemon, step by step; each error says which.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;

use super::{
    core::Core,
    datapath::Datapath,
    engine::{Engine, Inbox, Inherited, MOST_RESETS, Message},
    files::relay_limits,
    gate::InForce,
    kernel::Kernel,
    reload::{Pending, hex},
    upkeep::Threads,
};
use crate::{
    api::Gate,
    config::{Config, Loaded},
    datapath::{Resetter, follow},
    flow::Tracker,
    geo::Holder,
    policy::{Policy, TableIds},
    record::Timestamp,
    relay::{Listeners, limits},
    store::{Audit, Store, StoreOptions, StoreWriter, Tokens, Writer, WriterOptions},
};

/// Entries that wait for the writer, at most: some 30 MiB.
const QUEUE: usize = 65_536;

/// What runs, and what ends last.
pub(super) struct Running {
    pub(super) core: Arc<Core>,
    pub(super) threads: Threads,
    pub(super) holder: Option<Holder>,
}

/// Starts everything but the API. When this returns, restrictions are in force and
/// services are up.
pub(super) async fn start(path: &Path, loaded: Loaded, api: Arc<Gate>) -> Result<Running> {
    let config = loaded.config;
    let (store, store_writer, audit, tokens) = open_store(&config)?;
    let network = follow().await.context("the network cannot be followed")?;
    let (holder, geo, geo_fault) = open_database(&config);
    let (datapath, kernel, kernel_warnings) = load_kernel(&config)?;
    let (inbox, messages) = Inbox::channel();
    let (writer, writer_thread) = start_writer(&config, &store, store_writer, &inbox)?;
    let epoch = kernel.as_ref().map_or(0, |kernel| kernel.epoch);
    let inherited =
        Inherited { accounted: store.accounted(epoch)?, committed: store.committed_flows()? };
    let slots = datapath.as_ref().map(Datapath::slots).unwrap_or_default();
    let engine = Engine {
        kernel,
        tracker: Tracker::new(epoch, config.log.deny_records_per_second),
        inbox: messages,
        writer: writer.clone(),
        geo: Arc::clone(&geo),
        resetter: open_resetter(),
        slots: Vec::new(),
        resets_left: MOST_RESETS,
        resets_since: std::time::Instant::now(),
    };
    let gate = InForce::new(Policy::default());
    let known = super::core::services(&config, &slots, Arc::new(Policy::default()));
    let engine_thread = engine.start(known, inherited).context("the engine cannot be started")?;
    let files = limits::raise().context("the file-descriptor limit cannot be raised")?;
    let limits = relay_limits(&config, files);
    let relay = Listeners::new(Arc::clone(&gate) as _, Arc::new(inbox.clone()), limits);
    let first_table = datapath.as_ref().map_or(1, Datapath::next_table);
    let core = Arc::new(Core {
        config_path: path.to_owned(),
        started_at: Timestamp::now(),
        config: ArcSwap::from_pointee(config.clone()),
        gate,
        geo,
        geo_fault: Mutex::new(geo_fault),
        relay,
        datapath: Mutex::new(datapath),
        kernel_warnings: Mutex::new(kernel_warnings),
        inbox,
        writer,
        store,
        audit,
        tokens,
        network,
        api,
        pending: Pending::default(),
        changes: AsyncMutex::new(TableIds::from(first_table)),
    });
    let digest = hex(&config.digest);
    // The policy first, so that no interface is ever watched without one.
    core.apply(config).await?;
    core.follow_network();
    core.remove_other_layouts();
    core.note("start", "weir", &format!("configuration {digest}"));
    Ok(Running { core, threads: Threads { engine: engine_thread, writer: writer_thread }, holder })
}

fn open_store(config: &Config) -> Result<(Store, StoreWriter, Audit, Tokens)> {
    let options = StoreOptions::within(config.log.max_bytes, config.log.noise_max_bytes);
    let (store, writer, damaged) = Store::open(&config.data_dir, options)?;
    let audit = Audit::open(&config.data_dir)?;
    for error in damaged {
        tracing::error!("{error}; it is set aside beside the store");
        let details = [("message".to_owned(), error.to_string())].into();
        audit.append("gap", "weir", details)?;
    }
    store.keep_nothing(config.log.keep == crate::config::Keep::None);
    Ok((store, writer, audit, Tokens::open(&config.data_dir)?))
}

type Geo = Arc<ArcSwapOption<crate::geo::Database>>;

fn open_database(config: &Config) -> (Option<Holder>, Geo, Option<String>) {
    let Some(geoip) = &config.geoip else { return (None, Geo::default(), None) };
    let (holder, error) = Holder::open(&geoip.database);
    let fault = error.map(|error| error.to_string());
    if let Some(fault) = &fault {
        tracing::warn!("{fault}; country rules deny with geo_unavailable until there is one");
    }
    let geo = Geo::default();
    geo.store(holder.current());
    (Some(holder), geo, fault)
}

fn load_kernel(config: &Config) -> Result<(Option<Datapath>, Option<Kernel>, Vec<String>)> {
    match Datapath::load(&config.kernel) {
        Ok((datapath, kernel)) => Ok((Some(datapath), Some(kernel), Vec::new())),
        Err(error) if config.kernel.required => Err(error.context(
            "the kernel's side cannot be set up (kernel.required = false goes on without it)",
        )),
        Err(error) => {
            let warning = format!(
                "the relay alone enforces, guarded services are unprotected and unrecorded: \
                 {error:#}"
            );
            tracing::error!("{warning}");
            Ok((None, None, vec![warning]))
        }
    }
}

fn start_writer(
    config: &Config,
    store: &Store,
    store_writer: StoreWriter,
    inbox: &Inbox,
) -> Result<(Writer, std::thread::JoinHandle<()>)> {
    let options = WriterOptions {
        commit_interval: config.log.commit_interval,
        capacity: QUEUE,
        on_overload: config.log.on_overload,
        on_store_failure: config.log.on_store_failure,
    };
    let inbox = inbox.clone();
    let on_settled = Box::new(move |flows| inbox.tell(Message::Settled(flows)));
    Writer::start(store_writer, store.last_id()?, options, on_settled)
        .context("the writer cannot be started")
}

fn open_resetter() -> Option<Resetter> {
    Resetter::open()
        .inspect_err(
            |error| tracing::warn!(%error, "deny = \"reset\" cannot answer: no raw socket"),
        )
        .ok()
}
