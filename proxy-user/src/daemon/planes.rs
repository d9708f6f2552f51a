//! Which plane serves a service, and why: what the kernel plane is told, and when.

use std::{collections::BTreeMap, net::SocketAddr, ops::RangeInclusive, sync::Arc, time::Duration};

use anyhow::Result;
use parking_lot::Mutex;
use rustix::system::uname;
use tokio::{
    sync::{Notify, mpsc::UnboundedReceiver},
    task::block_in_place,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    core::Core, datapath::Datapath, forwarding::TargetFailure, inbox::Message, phase::Phase,
};
use crate::{
    config::{Config, Destination, Forward, Service, SourceAddress, Target, busy_ports},
    datapath::{AnswerPorts, Backends, Egress, Network, TargetWay, egress, foreign_chains},
    relay::TargetPlace,
};

/// The kernel from which on the kernel plane is used.
const SINCE: (u32, u32) = (6, 12);

/// What is known of the host that decides.
pub(super) struct Host<'a> {
    pub(super) network: &'a Network,
    /// Targets by service, as far as the relay knows of them.
    pub(super) places: BTreeMap<String, Vec<TargetPlace>>,
    /// Why the kernel plane cannot be used at all, in words.
    pub(super) unfit: Option<String>,
    /// What netfilter does that forwarded packets never meet.
    pub(super) chains: Vec<String>,
}

impl<'a> Host<'a> {
    /// Looks at the host.
    pub(super) fn look(network: &'a Network, places: BTreeMap<String, Vec<TargetPlace>>) -> Self {
        let chains = foreign_chains()
            .unwrap_or_else(|error| vec![format!("netfilter's, which cannot be read: {error}")]);
        Self { network, places, unfit: unfit(), chains }
    }
}

/// Why this kernel's plane is not used.
fn unfit() -> Option<String> {
    let name = uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let version = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (version < SINCE).then(|| format!("kernel {release}: it takes {}.{}", SINCE.0, SINCE.1))
}

/// Who serves a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// The kernel plane.
    Kernel(Backends),
    /// The relay; why.
    Relay(String),
}

/// Decides for each service that the relay publishes. The rest have no plan.
pub(super) fn plan(config: &Config, host: &Host<'_>) -> BTreeMap<String, Plan> {
    let relayed = config.services.iter().filter(|service| !service.targets().is_empty());
    relayed.map(|service| (service.name.clone(), of(service, config, host))).collect()
}

fn of(service: &Service, config: &Config, host: &Host<'_>) -> Plan {
    match ways(service, config, host) {
        Ok(backends) => Plan::Kernel(backends),
        Err(why) => Plan::Relay(why),
    }
}

/// The way to each target that clients are sent to.
///
/// # Errors
/// Why the kernel plane cannot serve, in words.
fn ways(service: &Service, config: &Config, host: &Host<'_>) -> Result<Backends, String> {
    if let Some(why) = service.unfit_for_kernel() {
        return Err(why.to_owned());
    }
    if let Some(why) = &host.unfit {
        return Err(why.clone());
    }
    if service.forwarding.by == Forward::Auto
        && let Some(chain) = host.chains.first()
    {
        return Err(format!(
            "netfilter has rules that forwarded packets would not meet: {chain} \
             (forward = \"kernel\" does without them)"
        ));
    }
    let mut places = places(service, host);
    if places.iter().any(|place| place.is_up) {
        places.retain(|place| place.is_up);
    }
    let mut targets = Vec::new();
    for place in &places {
        let Some(address) = place.addresses.first() else { continue };
        targets.push(way(*address, place.number, config, host)?);
    }
    let Destination::Targets(list) = &service.destination else {
        return Err("it has no targets".to_owned());
    };
    Ok(Backends {
        balance: list.balance,
        source: service.forwarding.source,
        sources: config.kernel.nat.addresses.clone(),
        most_sessions: service.max_connections.get(),
        targets,
    })
}

/// Where the targets are: as the relay knows, or as the configuration says.
fn places(service: &Service, host: &Host<'_>) -> Vec<TargetPlace> {
    let known = host.places.get(&service.name);
    let place = |target: &Target| {
        let known = known.and_then(|all| all.iter().find(|place| place.target == *target));
        known.cloned().unwrap_or_else(|| TargetPlace::unknown(target))
    };
    service.targets().iter().map(place).collect()
}

fn way(
    address: SocketAddr,
    number: u64,
    config: &Config,
    host: &Host<'_>,
) -> Result<TargetWay, String> {
    let ip = address.ip().to_canonical();
    let address = SocketAddr::new(ip, address.port());
    let found = egress(ip).map_err(|error| format!("the way to {ip} cannot be asked for: {error}"));
    let (interface, next_hop, source, own_mtu) = match found? {
        Egress::Local => {
            return Err(format!("{ip} is an address of this host, which no packet leaves"));
        }
        Egress::None => return Err(format!("there is no route to {ip}")),
        Egress::Link { interface, next_hop, source, mtu } => (interface, next_hop, source, mtu),
    };
    let link = host.network.interfaces.iter().find(|link| link.index == interface);
    let Some(link) = link else { return Err(format!("the link to {ip} is not known yet")) };
    if link.in_vrf {
        return Err(format!("{ip} is reached through {}, in a VRF", link.name));
    }
    let mtu = own_mtu.map_or(link.mtu, |own| own.min(link.mtu));
    let own = config.kernel.nat.addresses.iter().find(|own| own.is_ipv4() == ip.is_ipv4());
    let source = own.copied().unwrap_or(source);
    Ok(TargetWay { address, number, source, next_hop, interface, mtu })
}

/// What `weir check` tells of the kernel plane: how many flows it has room for, and what
/// keeps it from serving where it is asked for.
pub fn forecast(config: &Config, network: &Network) -> Vec<Forecast> {
    let host = Host::look(network, BTreeMap::new());
    let mut forecasts = Vec::new();
    for address in &config.kernel.nat.addresses {
        if !network.locals.iter().any(|net| net.contains(address)) {
            let message = format!("kernel.nat_addresses: {address} is no address of this host");
            forecasts.push(Forecast::Trouble(message));
        }
    }
    for (name, plan) in plan(config, &host) {
        let Some(service) = config.services.iter().find(|service| service.name == name) else {
            continue;
        };
        match plan {
            Plan::Kernel(backends) => forecasts.push(room(&name, &backends, config)),
            Plan::Relay(why) if service.forwarding.by == Forward::Kernel => {
                let message = format!("service {name} is served by the relay: {why}");
                forecasts.push(Forecast::Trouble(message));
            }
            Plan::Relay(_) => {}
        }
    }
    forecasts
}

/// What is to be expected of the kernel plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// It serves a service; how much of it, in words.
    Serves(String),
    /// Something keeps it from what it was told.
    Trouble(String),
}

fn room(name: &str, backends: &Backends, config: &Config) -> Forecast {
    if backends.source == SourceAddress::Client {
        let message = format!("service {name} is forwarded in the kernel, from clients' own ports");
        return Forecast::Serves(message);
    }
    let (ports, targets) = (config.kernel.nat.capacity(), backends.targets.len());
    let sources = |way: &TargetWay| {
        let own = config.kernel.nat.addresses.iter();
        own.filter(|own| own.is_ipv4() == way.address.is_ipv4()).count().max(1)
    };
    let flows: usize = backends.targets.iter().map(|way| ports * sources(way)).sum();
    Forecast::Serves(format!(
        "service {name} is forwarded in the kernel: {flows} flows at a time, from {ports} ports \
         to {targets} targets"
    ))
}

/// Where answers of targets come in.
pub(super) fn answer_ports(config: &Config, plans: &BTreeMap<String, Plan>) -> AnswerPorts {
    let nat: RangeInclusive<u16> = config.kernel.nat.ports.clone();
    let mut of_targets = Vec::new();
    for service in &config.services {
        let Some(Plan::Kernel(backends)) = plans.get(&service.name) else { continue };
        if backends.source == SourceAddress::Client {
            let ports = backends.targets.iter().map(|way| way.address.port());
            of_targets.extend(ports.map(|port| (service.mode.transport(), port)));
        }
    }
    of_targets.sort_unstable();
    of_targets.dedup();
    let taken = busy_ports(&nat);
    AnswerPorts { nat: Some(nat), taken, of_targets }
}

/// Interfaces by which targets of the kernel plane are reached: answers come in there.
pub(super) fn links(plans: &BTreeMap<String, Plan>) -> Vec<u32> {
    let backends = plans.values().filter_map(|plan| match plan {
        Plan::Kernel(backends) => Some(backends),
        Plan::Relay(_) => None,
    });
    backends.flat_map(|backends| backends.targets.iter().map(|way| way.interface)).collect()
}

/// Where clients of each service are sent that the kernel plane may serve: nowhere where the
/// relay serves them now, so that this can change while a generation is in force.
pub(super) fn backends(
    config: &Config,
    plans: &BTreeMap<String, Plan>,
) -> BTreeMap<String, Backends> {
    let fit = config.services.iter().filter(|service| service.unfit_for_kernel().is_none());
    let of = |service: &Service| match plans.get(&service.name) {
        Some(Plan::Kernel(backends)) => backends.clone(),
        _ => Backends::nowhere(service.max_connections.get()),
    };
    fit.map(|service| (service.name.clone(), of(service))).collect()
}

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

    /// Interfaces by which targets are reached.
    pub(super) fn links(&self) -> Vec<u32> {
        links(&self.plans.lock())
    }
}

impl Core {
    /// What is to serve each service, as things are now.
    pub(super) fn plan(&self, config: &Config) -> BTreeMap<String, Plan> {
        let network = self.network.borrow().clone();
        plan(config, &Host::look(&network, self.relay.places()))
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
        self.inbox.tell(Message::Targets(datapath.name_targets(&forward)?));
        datapath.set_answer_ports(&answer_ports(config, plans))?;
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
