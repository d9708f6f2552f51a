//! The published services and their listening sockets.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use parking_lot::{Mutex as SyncMutex, RwLock};
use tokio::{
    sync::{Mutex, MutexGuard, watch},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    contract::{Gate, Journal, Lookout},
    control::Cut,
    copy::PipePool,
    descriptor::Descriptor,
    front::Routes,
    guest::Host,
    inherited::Inherited,
    intake::Intake,
    limits::{Budget, Limits},
    listening::{Bound, GRACE, ListenError, Listening},
    plan::{Plan, Reached},
    published::{Behind, Published},
    rebind::{Held, STREAMS, bind_missing},
    receive::Shared,
    stats::Stats,
    targets::{TargetPlace, TargetState},
    udp,
    workers::Workers,
};
use crate::config::Service;

type Services = BTreeMap<String, Arc<Published>>;
type Sockets = BTreeMap<SocketAddr, Listening>;

/// Everything that the relay has open.
pub struct Listeners {
    shared: Arc<Shared>,
    services: RwLock<Services>,
    /// By the address asked for.
    sockets: Arc<Mutex<Sockets>>,
    lookout: Arc<dyn Lookout>,
    datagrams: udp::Ports,
    /// Sockets of a process before, until the first services are published.
    inherited: SyncMutex<Inherited>,
    _workers: Workers,
}

/// Services about to be published.
#[must_use = "it is to be committed or abandoned"]
pub struct Change<'a> {
    listeners: &'a Listeners,
    plan: Plan,
    sockets: MutexGuard<'a, Sockets>,
    bound: Vec<(SocketAddr, Bound)>,
    datagrams: udp::Change<'a>,
}

impl Change<'_> {
    /// Publishes exactly the relayed services. Sockets of addresses that stay are
    /// never closed, and sessions of services that stay go on, under the new
    /// settings. Ports that go refuse when this returns; a socket that only gives way
    /// to another of its port does so without losing a connection. Sessions of
    /// services that go are reset.
    ///
    /// Policies are none of its business, and must be in force before.
    pub async fn commit(mut self) {
        let (listeners, plan, sockets) = (self.listeners, &self.plan, &mut *self.sockets);
        let published = listeners.publish(plan.services().chain(self.datagrams.services()));
        let services = |names: &[String]| {
            names.iter().filter_map(|name| published.get(name).cloned()).collect::<Vec<_>>()
        };
        let routes = |reached: Reached<'_>| {
            Routes::new(services(reached.services), &services(reached.redirects))
        };
        for (address, reached) in plan.sockets() {
            if let Some(socket) = sockets.get_mut(&address) {
                socket.hand_to(routes(reached));
            }
        }
        for (address, socket) in self.bound {
            let routes = routes(plan.heirs_of(address));
            sockets.insert(address, socket.start(routes, &listeners.shared));
        }
        let replaced = sockets.iter_mut().filter(|(address, _)| plan.replaces(**address));
        replaced.for_each(|(_, socket)| socket.retire());
        let goes = |address| !plan.wants(address) && !plan.replaces(address);
        for (_, socket) in sockets.extract_if(.., |address, _| goes(*address)) {
            socket.stop_all().await;
        }
        if sockets.values().any(Listening::is_retired) {
            tokio::spawn(close_retired(Arc::clone(&listeners.sockets)));
        }
        self.datagrams.commit(&published, &listeners.shared).await;
        listeners.retire(published);
    }

    /// Leaves everything as it was.
    pub fn abandon(self) {
        drop((self.bound, self.datagrams));
    }
}

/// Closes the sockets that others have replaced, once their time is over.
async fn close_retired(sockets: Arc<Mutex<Sockets>>) {
    sleep(GRACE).await;
    let mut sockets = sockets.lock().await;
    for (_, socket) in sockets.extract_if(.., |_, socket| socket.is_over()) {
        socket.stop().await;
    }
}

impl Listeners {
    /// Nothing published yet.
    ///
    /// # Errors
    /// Where threads cannot be started, or there are no files left.
    pub fn new(
        gate: Arc<dyn Gate>,
        (journal, lookout): (Arc<dyn Journal>, Arc<dyn Lookout>),
        host: Arc<dyn Host>,
        limits: Limits,
    ) -> io::Result<Self> {
        let workers = Workers::start()?;
        let shared = Shared {
            gate,
            journal,
            host,
            draining: CancellationToken::new(),
            limits,
            budget: Budget::new(limits.sessions),
            pipes: PipePool::new(limits.pipes),
            intake: watch::Sender::default(),
            sessions: TaskTracker::new(),
            runtimes: workers.runtimes(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            services: RwLock::default(),
            sockets: Arc::default(),
            lookout,
            datagrams: udp::Ports::new()?,
            inherited: SyncMutex::default(),
            _workers: workers,
        })
    }

    /// Uses these sockets for the services that are published next, and closes what
    /// those do not need.
    pub fn inherit(&self, inherited: Inherited) {
        *self.inherited.lock() = inherited;
    }

    /// Listens wherever `services` need it and nothing does yet, without accepting
    /// there. On an error nothing has changed; nor has it, but for the bound ports,
    /// before [`Change::commit`].
    pub async fn prepare(&self, services: &[Arc<Service>]) -> Result<Change<'_>, ListenError> {
        let plan = Plan::streams(services);
        let sockets = self.sockets.lock().await;
        let (bound, inherited) = self.bind(&plan, &sockets)?;
        let datagrams = self.datagrams.prepare(services, inherited, &self.shared.runtimes).await?;
        Ok(Change { listeners: self, plan, sockets, bound, datagrams })
    }

    /// Binds what the plan needs and is not there, and takes what was inherited for it. Gives
    /// the inherited sockets of datagrams besides.
    #[expect(clippy::type_complexity, reason = "taken apart at once")]
    fn bind(
        &self,
        plan: &Plan,
        sockets: &Sockets,
    ) -> Result<(Vec<(SocketAddr, Bound)>, BTreeMap<SocketAddr, UdpSocket>), ListenError> {
        let mut inherited = self.inherited.lock();
        let mut held: Held<'_> = sockets.iter().map(|(a, s)| (*a, s.socket())).collect();
        held.extend(inherited.streams());
        let fresh = bind_missing(plan, &held, &STREAMS)?;
        drop(held);
        let bound = inherited.take_streams(plan).chain(fresh).map(|(address, socket)| {
            let bound = Bound::on(socket, &self.shared.runtimes);
            Ok((address, bound.map_err(|source| plan.refused(address, source))?))
        });
        let bound = bound.collect::<Result<_, ListenError>>()?;
        Ok((bound, inherited.take_datagrams()))
    }

    /// Judges every session again, and resets those that the gate now denies. To be
    /// called when a new policy is in force.
    pub fn rejudge(&self) {
        for service in self.services.read().values() {
            service.rejudge(&*self.shared.gate);
        }
    }

    /// What accept loops do from now on.
    pub fn set_intake(&self, intake: Intake) {
        self.shared.intake.send_replace(intake);
    }

    /// Waits until what [`Self::set_intake`] said last holds for everything that comes.
    pub async fn settle(&self) {
        self.shared.runtimes.pass().await;
    }

    /// Waits until no socket is left that another has replaced.
    pub async fn rest(&self) {
        while self.sockets.lock().await.values().any(Listening::is_retired) {
            sleep(GRACE / 8).await;
        }
    }

    /// The listening sockets, for another process.
    pub async fn descriptors(&self) -> Vec<Descriptor> {
        let sockets = self.sockets.lock().await;
        let current = sockets.values().filter(|socket| !socket.is_retired());
        let streams: Vec<_> = current.map(Listening::descriptor).collect();
        drop(sockets);
        streams.into_iter().chain(self.datagrams.descriptors().await).collect()
    }

    /// Live counters, by service name.
    pub fn stats(&self) -> BTreeMap<String, Stats> {
        let services = self.services.read();
        services
            .iter()
            .map(|(name, service)| (name.clone(), service.counters().snapshot()))
            .collect()
    }

    /// How the targets are, by service name, in the configuration's order.
    pub fn targets(&self) -> BTreeMap<String, Vec<TargetState>> {
        let services = self.services.read();
        services.iter().map(|(name, service)| (name.clone(), service.targets())).collect()
    }

    /// Where the targets are, by service name, in the configuration's order.
    pub fn places(&self) -> BTreeMap<String, Vec<TargetPlace>> {
        let services = self.services.read();
        services.iter().map(|(name, service)| (name.clone(), service.pool().places())).collect()
    }

    /// The kernel plane found that a target can be reached, or why not, in words.
    pub fn tell(&self, service: &str, target: SocketAddr, found: Result<(), &str>) {
        if let Some(service) = self.services.read().get(service) {
            service.pool().tell(target, found);
        }
    }

    /// Takes how many sessions of each service the kernel plane has; of others none.
    pub fn set_forwarded(&self, sessions: &BTreeMap<String, u32>) {
        for (name, service) in &*self.services.read() {
            service.counters().set_forwarded(sessions.get(name).copied().unwrap_or(0));
        }
    }

    /// Where connections are accepted and datagrams received, and the name of each service
    /// that they reach.
    pub async fn addresses(&self) -> Vec<(SocketAddr, String)> {
        let sockets = self.sockets.lock().await;
        let current = sockets.values().filter(|socket| !socket.is_retired());
        let reached = |socket: &Listening| {
            let (local, routes) = (socket.local(), socket.front().routes());
            let names = routes.services().iter().map(|service| service.settings().name.clone());
            names.map(|name| (local, name)).collect::<Vec<_>>()
        };
        current.flat_map(reached).chain(self.datagrams.addresses().await).collect()
    }

    /// Stops accepting, lets sessions finish until `over`, and resets the rest. Sessions of
    /// datagrams finish with the first second in which their target is silent. When this
    /// returns, every session has been reported.
    pub async fn drain_until(&self, over: impl Future<Output = ()>) {
        let mut sockets = self.sockets.lock().await;
        let mut fronts = Vec::new();
        while let Some((_, socket)) = sockets.pop_first() {
            fronts.push(Arc::clone(socket.front()));
            socket.stop().await;
        }
        // Status may be asked for meanwhile.
        drop(sockets);
        let datagrams = self.datagrams.drain().await;
        for service in self.services.read().values() {
            service.nudge();
        }
        self.shared.draining.cancel();
        self.shared.sessions.close();
        let finished = tokio::select! {
            biased;
            () = self.shared.sessions.wait() => true,
            () = over => false,
        };
        if !finished {
            for front in fronts {
                front.roll().close(Cut::Shutdown);
            }
            for service in self.services.read().values() {
                service.close(Cut::Shutdown);
            }
            self.shared.sessions.wait().await;
        }
        datagrams.await;
    }

    /// Settings in force for every one of the services: those that stay keep their
    /// counters and sessions. One that changes between streams, datagrams and requests does
    /// not stay.
    fn publish<'a>(&self, services: impl Iterator<Item = &'a Arc<Service>>) -> Services {
        let old = self.services.read();
        let publish = |service: &Arc<Service>| {
            let known = old.get(&service.name);
            if let Some(known) = known.filter(|known| known.could_be(service)) {
                known.update(service);
                return Arc::clone(known);
            }
            let runtime = self.shared.runtimes.beside().clone();
            Published::new(
                service,
                Behind {
                    lookout: Arc::clone(&self.lookout),
                    host: Arc::clone(&self.shared.host),
                    runtime,
                },
            )
        };
        services.map(|service| (service.name.clone(), publish(service))).collect()
    }

    /// Makes `services` the published ones, and cuts the sessions of the others.
    fn retire(&self, services: Services) {
        let mut old = std::mem::replace(&mut *self.services.write(), services);
        let kept = self.services.read();
        old.retain(|name, gone| !kept.get(name).is_some_and(|kept| Arc::ptr_eq(kept, gone)));
        drop(kept);
        for service in old.values() {
            service.close(Cut::ServiceRemoved);
        }
    }
}
