//! From a configuration to a running daemon, step by step; each error says which.

use std::{collections::BTreeSet, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc::unbounded_channel, watch},
    time::{Instant, sleep},
};

use super::{
    core::{Changes, Core, domains},
    country::{self, Faults, Opened},
    datapath::{self, Datapath},
    descriptor_store::DescriptorStore,
    engine::{Engine, MOST_RESETS},
    files::relay_limits,
    gate::InForce,
    inbox::{Inbox, Message},
    lookout::Watchman,
    phase::Phase,
    planes::Planes,
    reload::hex,
    sinks::Sinks,
    succession::{Noted, Standing},
    upkeep::{Threads, tell_damage},
};
use crate::{
    api::Gate,
    config::{self, Config, Keep},
    datapath::{Network, Release, Resetter, follow, queued},
    flow::Tracker,
    http::{Http, auth::Authenticator, sso::Sso, tls::Certificates},
    policy::Policy,
    record::Timestamp,
    relay::{Inherited, Listeners, Transport, limits},
    store::{Audit, Store, StoreOptions, StoreWriter, Tokens, Told, Writer, WriterOptions},
};

/// Entries that wait for the writer, at most: some 30 MiB.
const QUEUE: usize = 65_536;

/// How long a store may be held by who asked the process before, and how often that is
/// looked at.
const STORE_FREE: Duration = Duration::from_secs(30);
const STORE_LOOK: Duration = Duration::from_millis(20);

/// How long it may take to accept all who waited, and how often that is looked at.
const QUEUES_EMPTY: Duration = Duration::from_secs(2);
const QUEUES_LOOK: Duration = Duration::from_millis(2);

/// What runs, and what ends last.
pub(super) struct Running {
    pub(super) core: Arc<Core>,
    pub(super) threads: Threads,
}

/// What can be made ready before anything is taken.
pub(super) struct Prepared {
    network: watch::Receiver<Network>,
    database: Opened,
    /// Or why there is none, in words.
    kernel: Result<datapath::Prepared, String>,
}

/// What a process before left: nothing, mostly.
#[derive(Default)]
pub(super) struct Heritage {
    /// Listening sockets.
    pub(super) listeners: Inherited,
    /// Of them, those that the service manager holds.
    pub(super) held: Vec<(Transport, SocketAddr)>,
    /// Connections that are not over.
    pub(super) standing: Standing,
}

impl Prepared {
    /// Where no daemon runs; no other can take the pins from here on.
    pub(super) async fn alone(config: &Config) -> Result<Self> {
        let kernel = datapath::Prepared::alone(&config.kernel);
        Self::with(config, or_without(&config.kernel, kernel)?).await
    }

    /// Where one runs, whose pins are taken later: what is loaded there is not given up
    /// for less.
    pub(super) async fn beside(config: &Config) -> Result<Self> {
        let kernel = datapath::Prepared::beside(&config.kernel)?;
        kernel.must_fit(&config.services)?;
        Self::with(config, Ok(kernel)).await
    }

    async fn with(config: &Config, kernel: Result<datapath::Prepared, String>) -> Result<Self> {
        let network = follow().await.context("the network cannot be followed")?;
        let database = country::open(config, None);
        Ok(Self { network, database, kernel })
    }
}

/// Starts everything but the API. When this returns, restrictions are in force and
/// services are up.
pub(super) async fn start(
    path: &Path,
    config: Config,
    (prepared, heritage): (Prepared, Heritage),
    api: Arc<Gate>,
) -> Result<Running> {
    let log = &config.log;
    let ports: BTreeSet<u16> = heritage.held.iter().map(|(_, address)| address.port()).collect();
    let (store, store_writer) = Store::new(&config.data_dir, StoreOptions::within(log));
    store.keep_nothing(log.keep == Keep::None);
    let Prepared { network, database, kernel } = prepared;
    let geo = Arc::new(ArcSwapOption::new(database.database));
    let taken = match kernel {
        Ok(kernel) => or_without(&config.kernel, kernel.take(&config.kernel))?,
        Err(fault) => Err(fault),
    };
    let (datapath, kernel, kernel_fault) = match taken {
        Ok((datapath, kernel)) => (Some(datapath), Some(kernel), None),
        Err(fault) => (None, None, Some(fault)),
    };
    tracing::info!("{}", Release::of_host().tell(datapath.as_ref().map(Datapath::attachment)));
    let (inbox, messages) = Inbox::channel();
    let epoch = kernel.as_ref().map_or(0, |kernel| kernel.epoch);
    let (writer, writer_thread) = start_writer(&config, &store, store_writer, &inbox, epoch)?;
    // A store that is not open yet is told of by the writer when it is.
    let inherited = read_store(&store, epoch, &heritage.standing).await;
    let (failures, failed) = unbounded_channel();
    let planes = Planes::new(failed);
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
        standing: heritage.standing,
        resets_left: MOST_RESETS,
        resets_since: std::time::Instant::now(),
        resets_suppressed: 0,
        failures,
        orphans: BTreeSet::new(),
        dials_seen: std::time::Instant::now(),
        busy: false,
    };
    let gate = InForce::new(Policy::default());
    let known = super::core::services(&config, &slots, Arc::new(Policy::default()));
    let engine_thread = engine.start(known, inherited).context("the engine cannot be started")?;
    let limits = relay_limits(&config, limits::hard_limit());
    let audit = Audit::new(&config.data_dir);
    let watchman = Watchman::start(audit.clone(), planes.changed())
        .context("the lookout cannot be started")?;
    let witnesses = (Arc::new(inbox.clone()) as _, Arc::new(watchman) as _);
    let certificates = Certificates::open(&config.data_dir, &config.tls, domains(&config))
        .context("certificates cannot be made")?;
    let auth = open_authenticator(&config, &audit)?;
    let http = Http::new(Arc::new(inbox.clone()), Arc::clone(&certificates), Arc::clone(&auth))
        .context("TLS to targets cannot be set up")?;
    let http = Arc::new(http);
    let relay = Listeners::new(Arc::clone(&gate) as _, witnesses, Arc::clone(&http) as _, limits)
        .context("the relay cannot be started")?;
    relay.inherit(heritage.listeners);
    let descriptors = DescriptorStore::of_process(heritage.held);
    let core = Arc::new(Core {
        config_path: path.to_owned(),
        started_at: Timestamp::now(),
        config: ArcSwap::from_pointee(config.clone()),
        gate,
        geo,
        geo_faults: Mutex::new(Faults { file: database.fault, update: None }),
        relay,
        http,
        certificates,
        auth,
        datapath: Mutex::new(datapath),
        kernel_fault,
        coverage: Mutex::default(),
        planes,
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
        changes: AsyncMutex::new(Changes::new(database.holder, descriptors)),
        accepted: Mutex::default(),
    });
    let digest = hex(&config.digest);
    // The policy first, so that no interface is ever watched without one.
    core.apply(config).await?;
    empty_queues(&ports).await;
    core.follow_network();
    require_coverage(&core)?;
    core.remove_other_layouts();
    core.note("start", "weir", &format!("configuration {digest}"));
    tell_damage(&core);
    Ok(Running { core, threads: Threads { engine: engine_thread, writer: writer_thread } })
}

/// What is there of the kernel's side, or why nothing is, where the configuration goes on
/// without it.
fn or_without<T>(settings: &config::Kernel, done: Result<T>) -> Result<Result<T, String>> {
    match done {
        Ok(there) => Ok(Ok(there)),
        Err(error) if settings.required => Err(error.context(
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

/// Waits until nobody stands in the queues of these ports, who came while no daemon ran.
/// The relay judges them: were programs attached before, who is denied would be recorded
/// by both.
async fn empty_queues(ports: &BTreeSet<u16>) {
    let waits = || {
        let queued = queued().unwrap_or_default();
        queued.iter().any(|flow| ports.contains(&flow.service_port))
    };
    let until = Instant::now() + QUEUES_EMPTY;
    while !ports.is_empty() && waits() && Instant::now() < until {
        sleep(QUEUES_LOOK).await;
    }
}

/// What the store has of the maps of that epoch. Whoever asked the process before may
/// hold a file of it a moment longer.
async fn read_store(store: &Store, epoch: u64, standing: &Standing) -> Option<Noted> {
    let until = Instant::now() + STORE_FREE;
    loop {
        match Noted::read(store, epoch) {
            Ok(noted) => return Some(noted),
            Err(_) if matches!(standing, Standing::Served(_)) && Instant::now() < until => {
                sleep(STORE_LOOK).await;
            }
            Err(_) => return None,
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
        Told::Opened => match Noted::read(&store, epoch) {
            Ok(noted) => inbox.tell(Message::Inherited(noted)),
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

fn open_authenticator(config: &Config, audit: &Audit) -> Result<Arc<Authenticator>> {
    let directory = &config.data_dir;
    let sso = Sso::new(directory).context("the key of single sign-on")?;
    let auth = Authenticator::new(directory, Arc::new(sso), audit.clone())
        .context("authentication cannot be set up")?;
    if let Err(error) = auth.load() {
        tracing::info!(%error, "sessions are known as soon as they can be read");
    }
    Ok(Arc::new(auth))
}

fn open_resetter() -> Option<Resetter> {
    Resetter::open()
        .inspect_err(
            |error| tracing::warn!(%error, "deny = \"reset\" cannot answer: no raw socket"),
        )
        .ok()
}
