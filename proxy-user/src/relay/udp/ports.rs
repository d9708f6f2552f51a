//! The sockets of all services of datagrams.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use futures_util::future::join_all;
use tokio::sync::{Mutex, MutexGuard};

use super::{
    listener::Common,
    port::{Bound, Port},
};
use crate::{
    config::Service,
    relay::{
        descriptor::Descriptor,
        inherited::held,
        listening::ListenError,
        plan::{Plan, Reached},
        published::Published,
        rebind::{DATAGRAMS, bind_missing},
        receive::Shared,
        workers::Runtimes,
    },
};

/// Those that are open, by the address asked for.
pub(in crate::relay) struct Ports {
    common: Arc<Common>,
    open: Mutex<BTreeMap<SocketAddr, Port>>,
}

/// Services about to be published.
#[must_use = "dropped, it changes nothing"]
pub(in crate::relay) struct Change<'a> {
    plan: Plan,
    open: MutexGuard<'a, BTreeMap<SocketAddr, Port>>,
    bound: Vec<(SocketAddr, Bound)>,
}

impl Ports {
    /// None yet.
    pub(in crate::relay) fn new() -> io::Result<Self> {
        Ok(Self { common: Arc::new(Common::new()?), open: Mutex::default() })
    }

    /// Listens wherever `services` need it and nothing does yet, without receiving there:
    /// by what is `inherited`, where that serves. What of it does not is closed.
    pub(in crate::relay) async fn prepare(
        &self,
        services: &[Arc<Service>],
        mut inherited: BTreeMap<SocketAddr, UdpSocket>,
        runtimes: &Runtimes,
    ) -> Result<Change<'_>, ListenError> {
        let (plan, open) = (Plan::datagrams(services), self.open.lock().await);
        let mut held = held(&inherited);
        held.extend(open.iter().map(|(address, port)| (*address, port.options())));
        let fresh = bind_missing(&plan, &held, &DATAGRAMS)?;
        drop(held);
        inherited.retain(|address, _| plan.wants(*address));
        let bound = inherited.into_iter().chain(fresh).map(|(address, socket)| {
            let bound = Bound::on(socket, runtimes, &self.common);
            Ok((address, bound.map_err(|source| plan.refused(address, source))?))
        });
        let bound = bound.collect::<Result<_, ListenError>>()?;
        Ok(Change { plan, open, bound })
    }

    /// The sockets, for another process.
    pub(in crate::relay) async fn descriptors(&self) -> Vec<Descriptor> {
        self.open.lock().await.values().map(Port::descriptor).collect()
    }

    /// Where datagrams are received, and the name of the service that they reach.
    pub(in crate::relay) async fn addresses(&self) -> Vec<(SocketAddr, String)> {
        let open = self.open.lock().await;
        open.values().map(|port| (port.local(), port.owner().settings().name.clone())).collect()
    }

    /// Receives nothing more. Sessions end with a moment's silence, once they look at
    /// their settings again; the answer is there when none is left.
    pub(in crate::relay) async fn drain(&self) -> impl Future<Output = ()> + use<> {
        self.common.draining.store(true, Relaxed);
        let open = std::mem::take(&mut *self.open.lock().await);
        let ends: Vec<_> = open.into_values().map(Port::drain).collect();
        async { drop(join_all(ends).await) }
    }
}

impl Change<'_> {
    /// The services, and none but those.
    pub(in crate::relay) fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.plan.services()
    }

    /// Receives for exactly these services. When this returns, the ports of the others
    /// refuse.
    pub(in crate::relay) async fn commit(
        self,
        published: &BTreeMap<String, Arc<Published>>,
        shared: &Arc<Shared>,
    ) {
        let Self { plan, mut open, bound } = self;
        let successors: Vec<_> = bound.iter().map(|(_, b)| Arc::clone(b.listener())).collect();
        let gone: Vec<_> = open.extract_if(.., |address, _| !plan.wants(*address)).collect();
        join_all(gone.into_iter().map(|(_, port)| port.retire(successors.clone()))).await;
        drop(successors);
        let mut bound: BTreeMap<_, _> = bound.into_iter().collect();
        for (address, Reached { services, .. }) in plan.sockets() {
            let Some(owner) = services.iter().find_map(|name| published.get(name)) else {
                continue;
            };
            if let Some(port) = open.get(&address) {
                port.hand_to(Arc::clone(owner));
            } else if let Some(socket) = bound.remove(&address) {
                open.insert(address, socket.start(Arc::clone(owner), shared));
            }
        }
    }
}
