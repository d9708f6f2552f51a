//! What the daemon is made of, and how a configuration comes in force.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, watch};

use super::{
    datapath::Datapath,
    engine::{Inbox, Message, Services},
    gate::InForce,
    generation::generation,
    reload::Pending,
};
use crate::{
    api::Gate,
    config::Config,
    datapath::Network,
    flow::ServiceInfo,
    geo::Database,
    policy::{Policy, TableIds, compile},
    record::Timestamp,
    relay::{Intake, Listeners},
    store::{Audit, Pressure, Store, Tokens, Writer},
};

/// The running daemon.
pub(super) struct Core {
    pub(super) config_path: PathBuf,
    pub(super) started_at: Timestamp,
    pub(super) config: ArcSwap<Config>,
    pub(super) gate: Arc<InForce>,
    pub(super) geo: Arc<ArcSwapOption<Database>>,
    /// Why the database on disk is not the one in use.
    pub(super) geo_fault: Mutex<Option<String>>,
    pub(super) relay: Listeners,
    pub(super) datapath: Mutex<Option<Datapath>>,
    /// What of the kernel's side does not work, in words.
    pub(super) kernel_warnings: Mutex<Vec<String>>,
    pub(super) inbox: Inbox,
    pub(super) writer: Writer,
    pub(super) store: Store,
    pub(super) audit: Audit,
    pub(super) tokens: Tokens,
    pub(super) network: watch::Receiver<Network>,
    /// Who may reach the API over TCP.
    pub(super) api: Arc<Gate>,
    pub(super) pending: Pending,
    /// One change at a time.
    pub(super) changes: AsyncMutex<TableIds>,
}

impl Core {
    /// Publishes the services of `config`, brings its policy in force in the kernel
    /// and then in the relay, and cuts what it denies. On an error nothing has
    /// changed.
    pub(super) async fn apply(&self, config: Config) -> Result<()> {
        let mut ids = self.changes.lock().await;
        // A service must not be reached before its own policy is in force.
        self.relay.set_intake(Intake::Hold);
        let applied = self.apply_held(config, &mut ids).await;
        self.relay.set_intake(self.intake());
        applied
    }

    /// Whether connections are accepted, by how the writer is.
    pub(super) fn intake(&self) -> Intake {
        match self.writer.pressure() {
            Pressure::None => Intake::Accept,
            Pressure::Full => Intake::Hold,
            Pressure::Refuse => Intake::Refuse,
        }
    }

    async fn apply_held(&self, config: Config, ids: &mut TableIds) -> Result<()> {
        self.relay.apply(&config.services).await.context("services cannot be published")?;
        let installed = tokio::task::block_in_place(|| self.install(&config, ids));
        if installed.is_err() {
            let before = self.config.load_full();
            self.relay.apply(&before.services).await.context("services cannot be restored")?;
            return installed;
        }
        self.api.replace(&config.api);
        self.config.store(Arc::new(config));
        Ok(())
    }

    /// Compiles the policy again: the database or a gateway changed.
    pub(super) async fn refresh(&self) -> Result<()> {
        let mut ids = self.changes.lock().await;
        let config = self.config.load_full();
        tokio::task::block_in_place(|| self.install(&config, &mut ids))
    }

    fn install(&self, config: &Config, ids: &mut TableIds) -> Result<()> {
        let geo = self.geo.load_full();
        let gateways = self.network.borrow().gateways.clone();
        let before = self.gate.0.load_full();
        let policy = compile(config, geo, &gateways, ids, Some(&before));
        let policy = Arc::new(policy);
        let mut slots = Vec::new();
        if let Some(datapath) = &mut *self.datapath.lock() {
            datapath.install(&generation(config, &policy))?;
            slots = datapath.slots();
        }
        self.gate.0.store(Arc::clone(&policy));
        self.relay.rejudge();
        self.inbox.tell(Message::Services(services(config, &slots, policy)));
        Ok(())
    }

    /// Attaches to the interfaces that are there now, and hands their names on.
    pub(super) fn follow_network(&self) {
        let network = self.network.borrow().clone();
        let names: BTreeMap<u32, String> =
            network.interfaces.iter().map(|i| (i.index, i.name.clone())).collect();
        self.inbox.tell(Message::Interfaces(names));
        if let Some(datapath) = &mut *self.datapath.lock() {
            let warnings = datapath.follow(&self.config.load().kernel, &network);
            let mut known = self.kernel_warnings.lock();
            for warning in warnings.iter().filter(|warning| !known.contains(warning)) {
                tracing::warn!("{warning}");
            }
            *known = warnings;
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

/// What the engine needs to know of the services of `config` and of those that are
/// gone.
pub(super) fn services(config: &Config, slots: &[(u16, String)], policy: Arc<Policy>) -> Services {
    let info = |(slot, name): &(u16, String)| {
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
