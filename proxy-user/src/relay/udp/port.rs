//! One listening socket and the task that receives for it.

use std::{io, net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use socket2::SockRef;
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, unbounded_channel},
        oneshot,
    },
    task::JoinHandle,
};

use super::{
    listener::{Common, Listener, Note},
    receive::{Order, Receiver},
};
use crate::relay::{
    descriptor::Descriptor,
    published::Published,
    receive::Shared,
    workers::{Home, Runtimes},
};

/// A bound socket from which nothing is received yet.
pub(super) struct Bound {
    listener: Arc<Listener>,
    notes: UnboundedReceiver<Note>,
    home: Home,
}

impl Bound {
    pub(super) fn on(
        socket: std::net::UdpSocket,
        runtimes: &Runtimes,
        common: &Arc<Common>,
    ) -> io::Result<Self> {
        let home = runtimes.home();
        let _context = runtimes.at(home).enter();
        let (sender, notes) = unbounded_channel();
        let listener = Arc::new(Listener::new(socket, sender, Arc::clone(common))?);
        Ok(Self { listener, notes, home })
    }

    pub(super) fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// Starts receiving for `owner`.
    pub(super) fn start(self, owner: Arc<Published>, shared: &Arc<Shared>) -> Port {
        let Self { listener, notes, home } = self;
        let owner = Arc::new(ArcSwap::new(owner));
        let (order, orders) = oneshot::channel();
        let receiver = Receiver::new(
            (Arc::clone(&listener), notes),
            home,
            Arc::clone(&owner),
            Arc::clone(shared),
        );
        let task = shared.runtimes.at(home).spawn(receiver.run(orders));
        Port { listener, owner, order, task }
    }
}

/// A socket that receives.
pub(super) struct Port {
    listener: Arc<Listener>,
    owner: Arc<ArcSwap<Published>>,
    order: oneshot::Sender<Order>,
    task: JoinHandle<()>,
}

impl Port {
    /// Where it listens.
    pub(super) fn local(&self) -> SocketAddr {
        self.listener.local()
    }

    /// Whose sessions begin.
    pub(super) fn owner(&self) -> Arc<Published> {
        self.owner.load_full()
    }

    /// It, for another process.
    pub(super) fn descriptor(&self) -> Descriptor {
        Descriptor::datagrams(Arc::clone(&self.listener))
    }

    pub(super) fn options(&self) -> SockRef<'_> {
        self.listener.options()
    }

    /// Gives the sessions to come to another service.
    pub(super) fn hand_to(&self, owner: Arc<Published>) {
        self.owner.store(owner);
    }

    /// Closes the socket. Sessions of addresses that `successors` listen on go on there,
    /// the others are cut and reported when this returns.
    pub(super) async fn retire(self, successors: Vec<Arc<Listener>>) {
        self.end(Order::Retire(successors)).await;
    }

    /// Receives nothing more. The answer is there when no session is left, and the socket
    /// closed.
    pub(super) fn drain(self) -> impl Future<Output = ()> {
        self.end(Order::Drain)
    }

    fn end(self, order: Order) -> impl Future<Output = ()> {
        let Self { listener, task, order: line, .. } = self;
        drop(listener);
        // A task that has ended has panicked, which has been printed.
        let _ = line.send(order);
        async {
            let _ = task.await;
        }
    }
}
