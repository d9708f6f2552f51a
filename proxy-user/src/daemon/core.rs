//! What the daemon is made of, and how a configuration comes in force.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc};

use anyhow::Result;
use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, watch};

use super::{
    country::{self, Opened},
    coverage::Coverage,
    datapath::Datapath,
    descriptor_store::DescriptorStore,
    gate::InForce,
    inbox::{Inbox, Message, Services},
    phase::Phase,
    planes::{self, Planes},
    reload::Unconfirmed,
    sinks::Sinks,
};
use crate::{
    api::Gate,
    config::{Config, Service},
    datapath::{Generation, Network, SHARED},
    flow::ServiceInfo,
    geo::{Database, Holder},
    http::{Http, auth::Authenticator, tls::Certificates},
    policy::{Policy, compile},
    record::Timestamp,
    relay::{Intake, ListenError, Listeners},
    store::{Audit, Store, Tokens, Writer},
};

/// The running daemon.
pub(super) struct Core {
    pub(super) config_path: PathBuf,
    pub(super) started_at: Timestamp,
    pub(super) config: ArcSwap<Config>,
    pub(super) gate: Arc<InForce>,
    pub(super) geo: Arc<ArcSwapOption<Database>>,
    pub(super) geo_faults: Mutex<country::Faults>,
    pub(super) relay: Listeners,
    pub(super) http: Arc<Http>,
    pub(super) certificates: Arc<Certificates>,
    /// Who may use which service.
    pub(super) auth: Arc<Authenticator>,
    pub(super) datapath: Mutex<Option<Datapath>>,
    /// Why there is no kernel's side, in words.
    pub(super) kernel_fault: Option<String>,
    /// What of the host the kernel's side does not cover.
    pub(super) coverage: Mutex<Coverage>,
    /// Which plane serves each service.
    pub(super) planes: Planes,
    pub(super) inbox: Inbox,
    pub(super) writer: Writer,
    pub(super) store: Store,
    pub(super) audit: Audit,
    pub(super) tokens: Tokens,
    pub(super) network: watch::Receiver<Network>,
    /// Who may reach the API over TCP.
    pub(super) api: Arc<Gate>,
    pub(super) sinks: Sinks,
    pub(super) phase: Mutex<Phase>,
    /// One reload at a time.
    pub(super) unconfirmed: AsyncMutex<Unconfirmed>,
    /// One change at a time.
    pub(super) changes: AsyncMutex<Changes>,
    /// The most connections of each guard that were ever counted.
    pub(super) accepted: Mutex<BTreeMap<String, u64>>,
}

/// What only one change at a time may touch.
pub(super) struct Changes {
    /// The country database's file, where one is configured.
    pub(super) holder: Option<Holder>,
    /// Those that the policy in force was compiled with.
    gateways: Vec<IpAddr>,
    /// Where listening sockets outlive the daemon.
    pub(super) descriptors: DescriptorStore,
}

impl Changes {
    pub(super) fn new(holder: Option<Holder>, descriptors: DescriptorStore) -> Self {
        Self { holder, gateways: Vec::new(), descriptors }
    }
}

/// Why a configuration is not in force. The one before is, as it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    /// A port cannot be had.
    #[error("services cannot be published: {0}")]
    Listen(#[from] ListenError),
    /// Nothing is published any more.
    #[error("the daemon is stopping")]
    Stopping,
    /// The kernel refuses.
    #[error("{0:#}")]
    Kernel(anyhow::Error),
}

impl Core {
    /// Publishes the services of `config`, brings its policy in force in the kernel
    /// and then in the relay, and cuts what it denies. On an error nothing has
    /// changed.
    pub(super) async fn apply(&self, config: Config) -> Result<(), ApplyError> {
        let mut changes = self.changes.lock().await;
        if self.phase() == Phase::Stopping {
            return Err(ApplyError::Stopping);
        }
        // Before intake is held: a database takes its time to read.
        let opened = tokio::task::block_in_place(|| self.open_database(&config, &changes));
        // A service must not be reached before its own policy is in force.
        self.relay.set_intake(Intake::Hold);
        let applied = self.apply_held(config, opened, &mut changes).await;
        self.relay.set_intake(self.intake());
        changes.descriptors.follow(&self.relay.descriptors().await);
        applied
    }

    async fn apply_held(
        &self,
        config: Config,
        opened: Option<Opened>,
        changes: &mut Changes,
    ) -> Result<(), ApplyError> {
        let published = self.relay.prepare(&config.services).await?;
        let geo = match &opened {
            Some(opened) => opened.database.clone(),
            None => self.geo.load_full(),
        };
        if let Err(error) = tokio::task::block_in_place(|| self.install(&config, geo, changes)) {
            published.abandon();
            return Err(ApplyError::Kernel(error));
        }
        self.http.apply(&config.http);
        tokio::task::block_in_place(|| self.certificates.apply(&config.tls, domains(&config)));
        published.commit().await;
        // What the relay knows of new targets.
        tokio::task::block_in_place(|| self.follow_planes(&config));
        self.auth.reload(&config.services);
        if let Some(opened) = opened {
            self.take_database(opened, changes);
        }
        self.api.replace(&config.api);
        self.config.store(Arc::new(config));
        Ok(())
    }

    /// Compiles the policy again where the gateways are others than it knows.
    pub(super) async fn follow_gateways(&self) -> Result<()> {
        let mut changes = self.changes.lock().await;
        if self.network.borrow().gateways == changes.gateways {
            return Ok(());
        }
        self.install_again(&mut changes)
    }

    /// Compiles the policy in force again, with what changed beside it.
    pub(super) fn install_again(&self, changes: &mut Changes) -> Result<()> {
        let (config, geo) = (self.config.load_full(), self.geo.load_full());
        tokio::task::block_in_place(|| self.install(&config, geo, changes))
    }

    fn install(
        &self,
        config: &Config,
        geo: Option<Arc<Database>>,
        changes: &mut Changes,
    ) -> Result<()> {
        let gateways = self.network.borrow().gateways.clone();
        let before = self.gate.0.load_full();
        let policy = compile(config, geo, &gateways, Some(&before))?;
        let policy = Arc::new(policy);
        let mut slots = Vec::new();
        let plans = self.plan(config);
        if let Some(datapath) = &mut *self.datapath.lock() {
            let forward = planes::backends(config, &plans);
            self.expect_answers(datapath, config, &plans, &forward)?;
            datapath.install(&Generation::of(config, &policy, &forward))?;
            slots = datapath.slots();
        }
        self.planes.set(plans);
        self.gate.0.store(Arc::clone(&policy));
        self.relay.rejudge();
        self.inbox.tell(Message::Services(services(config, &slots, policy)));
        changes.gateways = gateways;
        Ok(())
    }

    /// Attaches to the interfaces that are there now, and hands their names on.
    pub(super) fn follow_network(&self) {
        let network = self.network.borrow().clone();
        let names: BTreeMap<u32, String> =
            network.interfaces.iter().map(|i| (i.index, i.name.clone())).collect();
        self.inbox.tell(Message::Interfaces(names));
        if let Some(datapath) = &mut *self.datapath.lock() {
            let links = self.planes.links();
            let coverage = datapath.follow(&self.config.load().kernel, &network, &links);
            // Still under the lock: what is told last is what is so.
            self.cover(coverage);
        }
    }
}

impl Core {
    /// Takes down what a Weir with another map layout left attached.
    pub(super) fn remove_other_layouts(&self) {
        if let Some(Err(error)) = self.datapath.lock().as_ref().map(Datapath::remove_other_layouts)
        {
            tracing::warn!("programs of another version stay attached: {error:#}");
        }
    }
}

/// The domains that need certificates.
pub(super) fn domains(config: &Config) -> Vec<String> {
    let ends_tls = |service: &&Arc<Service>| service.web().is_some_and(|web| web.tls);
    let services = || config.services.iter().filter(ends_tls);
    let own = services().filter_map(|service| service.domain.clone());
    let mut domains: Vec<_> = own.chain(services().filter_map(|s| callback_host(s))).collect();
    domains.sort();
    domains.dedup();
    domains
}

/// Where single sign-on to a service comes back to, where that is one host for several.
fn callback_host(service: &Service) -> Option<String> {
    let rule = service.web()?.auth.as_ref()?.sso.as_ref()?;
    // What is asked for by address is asked for without a name.
    let host = rule.provider.callback_host()?;
    let is_domain = !host.starts_with('[') && host.parse::<IpAddr>().is_err();
    is_domain.then(|| host.to_owned())
}

/// What the engine needs to know of the services of `config` and of those that are
/// gone.
pub(super) fn services(config: &Config, slots: &[(u16, String)], policy: Arc<Policy>) -> Services {
    let info = |(slot, name): &(u16, String)| {
        if name == SHARED {
            return (*slot, ServiceInfo::shared(config.services.iter().map(|service| &**service)));
        }
        let known = config.services.iter().find(|service| service.name == *name);
        let info = known.map_or_else(|| ServiceInfo::gone(name), |s| ServiceInfo::from(&**s));
        (*slot, info)
    };
    Services {
        in_force: slots.iter().map(info).collect(),
        slots: slots.iter().map(|(slot, _)| *slot).collect(),
        deny_records_per_second: config.log.deny_records_per_second,
        policy,
    }
}
