//! What the kernel plane is told, and when.

mod forecast;
mod plan;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Result;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc::UnboundedReceiver},
    task::block_in_place,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

pub use forecast::{Forecast, forecast};
pub(super) use plan::{Plan, backends};

use self::plan::{Host, answer_ports, links, plan};
use super::{
    core::Core, datapath::Datapath, forwarding::TargetFailure, inbox::Message, phase::Phase,
};
use crate::{config::Config, datapath::Backends};

/// The plans in force, and what makes them change.
pub(super) struct Planes {
    plans: Mutex<BTreeMap<String, Plan>>,
    changed: Arc<Notify>,
    failed: Mutex<Option<UnboundedReceiver<TargetFailure>>>,
}

/// Between two looks whether flows have finished.
const DRAIN_LOOK: Duration = Duration::from_millis(50);
/// For the ends of flows that are cut.
const CUT: Duration = Duration::from_millis(500);
/// Between two looks at what nobody tells of: routes by rules, names, netfilter.
const LOOK: Duration = Duration::from_secs(1);

impl Planes {
    pub(super) fn new(failed: UnboundedReceiver<TargetFailure>) -> Self {
        let failed = Mutex::new(Some(failed));
        Self { plans: Mutex::default(), changed: Arc::default(), failed }
    }

    /// Who is notified has the plans made anew.
    pub(super) fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    pub(super) fn set(&self, plans: BTreeMap<String, Plan>) {
        *self.plans.lock() = plans;
    }

    /// A service's plan.
    pub(super) fn of(&self, service: &str) -> Option<Plan> {
        self.plans.lock().get(service).cloned()
    }

    /// Logs what serves a service from now on, where that changes.
    fn note(&self, service: &str, plan: &Plan) {
        let before = self.of(service);
        match (before, plan) {
            (Some(Plan::Relay(_)), Plan::Kernel(_)) => {
                tracing::info!(service, "the kernel plane serves new flows");
            }
            (Some(Plan::Kernel(_)), Plan::Relay(why)) => {
                tracing::warn!(service, why, "the relay serves new flows");
            }
            _ => {}
        }
    }

    /// How many services the kernel plane serves.
    pub(super) fn forwarded(&self) -> usize {
        self.plans.lock().values().filter(|plan| matches!(plan, Plan::Kernel(_))).count()
    }

    /// Interfaces by which targets are reached.
    pub(super) fn links(&self) -> Vec<u32> {
        links(&self.plans.lock())
    }
}

impl Core {
    /// What is to serve each service, as things are now.
    pub(super) fn plan(&self, config: &Config) -> BTreeMap<String, Plan> {
        let network = self.network.borrow();
        let mut host = Host::look(&network, self.relay.places());
        // Without programs there is no plane.
        host.unfit = host.unfit.or_else(|| self.kernel_fault.clone());
        plan(config, &host)
    }

    /// Makes the plans anew, and tells the kernel what has changed.
    pub(super) fn follow_planes(&self, config: &Config) {
        let plans = self.plan(config);
        let links = self.planes.links();
        if let Some(datapath) = &mut *self.datapath.lock()
            && let Err(error) = self.tell_planes(datapath, config, &plans)
        {
            tracing::error!("the kernel plane cannot follow: {error:#}");
        }
        self.tell_relay();
        for (service, plan) in &plans {
            self.planes.note(service, plan);
        }
        self.planes.set(plans);
        if self.planes.links() != links {
            self.follow_network();
        }
    }

    /// `max_connections` is for both planes.
    fn tell_relay(&self) {
        let mut sessions = BTreeMap::<String, u32>::new();
        let datapath = self.datapath.lock();
        for ((service, _), open) in datapath.iter().flat_map(Datapath::sessions) {
            let open = u32::try_from(open).unwrap_or(u32::MAX);
            let known = sessions.entry(service).or_default();
            *known = known.saturating_add(open);
        }
        drop(datapath);
        self.relay.set_forwarded(&sessions);
    }

    /// Makes ready for clients who are sent to these targets next: records can name them, and
    /// their answers are looked for.
    pub(super) fn expect_answers(
        &self,
        datapath: &mut Datapath,
        config: &Config,
        plans: &BTreeMap<String, Plan>,
        forward: &BTreeMap<String, Backends>,
    ) -> Result<()> {
        self.inbox.tell(Message::Targets(datapath.name_targets(forward)?));
        datapath.set_answer_ports(&answer_ports(config, plans))
    }

    fn tell_planes(
        &self,
        datapath: &mut Datapath,
        config: &Config,
        plans: &BTreeMap<String, Plan>,
    ) -> Result<()> {
        let changed = |service: &String| self.planes.of(service).as_ref() != plans.get(service);
        let mut forward = backends(config, plans);
        forward.retain(|service, _| changed(service));
        if forward.is_empty() {
            return Ok(());
        }
        self.expect_answers(datapath, config, plans, &forward)?;
        forward.iter().try_for_each(|(service, backends)| datapath.set_backends(service, backends))
    }

    /// Follows what decides which plane serves, until `stop`.
    pub(super) async fn keep_planes(self: Arc<Self>, stop: CancellationToken) {
        let Some(mut failed) = self.planes.failed.lock().take() else { return };
        loop {
            let failure = tokio::select! {
                () = stop.cancelled() => return,
                failure = failed.recv() => failure,
                () = self.planes.changed.notified() => None,
                () = sleep(LOOK) => None,
            };
            if let Some(failure) = failure {
                self.tell_failure(failure);
            }
            let _changes = self.changes.lock().await;
            if self.phase() == Phase::Stopping {
                continue;
            }
            let config = self.config.load_full();
            block_in_place(|| self.follow_planes(&config));
        }
    }

    /// Takes no new flow from now on.
    pub(super) fn retire_planes(&self) {
        let Some(datapath) = &mut *self.datapath.lock() else { return };
        for (service, _) in backends(&self.config.load(), &BTreeMap::new()) {
            if let Err(error) = datapath.set_backends(&service, &Backends::nowhere(0)) {
                tracing::error!("the kernel plane goes on: {error:#}");
            }
        }
    }

    /// Lets flows finish until `over`, and ends the rest. Those of datagrams finish with the
    /// first second in which nothing comes.
    pub(super) async fn drain_planes(&self, over: impl Future<Output = ()>) {
        let open = || {
            let datapath = self.datapath.lock();
            datapath.as_ref().is_some_and(|datapath| !datapath.sessions().is_empty())
        };
        let finished = async {
            while open() {
                self.inbox.tell(Message::DrainForwarded { all: false });
                sleep(DRAIN_LOOK).await;
            }
        };
        tokio::select! {
            () = finished => return,
            () = over => self.inbox.tell(Message::DrainForwarded { all: true }),
        }
        let until = Instant::now() + CUT;
        while open() && Instant::now() < until {
            sleep(DRAIN_LOOK).await;
        }
    }

    /// A target did not answer a client in the kernel: it is none of the relay's, and is as
    /// down as if it were.
    fn tell_failure(&self, failure: TargetFailure) {
        let TargetFailure { service, target, error } = failure;
        let (name, address) = match &*self.datapath.lock() {
            Some(datapath) => (datapath.service(service), datapath.target(target)),
            None => return,
        };
        if let (Some(name), Some(address)) = (name, address) {
            self.relay.tell(&name, address, Err(error));
        }
    }
}
