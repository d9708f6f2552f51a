//! One listening socket and its accept loop.

use std::{io, net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use tokio::{net::TcpListener, runtime::Handle, task::JoinHandle};

use super::{
    accept::{Shared, accept},
    published::Published,
    socket,
};

/// A service's port could not be listened on. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("service.{service}: cannot listen on {address}: {source}")]
pub struct ListenError {
    /// The service's name.
    pub service: String,
    /// The address and port.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A bound socket on which nothing is accepted yet.
pub(super) struct Bound {
    local: SocketAddr,
    /// One socket, known to every worker by a descriptor of its own.
    listeners: Vec<(Handle, TcpListener)>,
}

impl Bound {
    pub(super) fn new(address: SocketAddr, runtimes: &[Handle]) -> io::Result<Self> {
        let socket = socket::listen(address)?;
        let listen = |runtime: &Handle| {
            let _context = runtime.enter();
            let listener = TcpListener::from_std(socket.try_clone()?)?;
            Ok((runtime.clone(), listener))
        };
        let listeners = runtimes.iter().map(listen).collect::<io::Result<_>>()?;
        Ok(Self { local: socket.local_addr()?, listeners })
    }

    /// Starts accepting for `owner`.
    pub(super) fn start(self, owner: Arc<Published>, shared: &Arc<Shared>) -> Listening {
        let owner = Arc::new(ArcSwap::new(owner));
        let accept_on = |(runtime, listener): (Handle, TcpListener)| {
            runtime.spawn(accept(listener, Arc::clone(&owner), Arc::clone(shared)))
        };
        let tasks = self.listeners.into_iter().map(accept_on).collect();
        Listening { local: self.local, owner, tasks }
    }
}

/// A socket that accepts.
pub(super) struct Listening {
    local: SocketAddr,
    owner: Arc<ArcSwap<Published>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Listening {
    /// Where it listens.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whose connections it accepts.
    pub(super) fn owner(&self) -> Arc<Published> {
        self.owner.load_full()
    }

    /// Gives the connections to come to another service.
    pub(super) fn hand_to(&self, owner: Arc<Published>) {
        self.owner.store(owner);
    }

    /// Closes the socket; when this returns, the port refuses.
    pub(super) async fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            // Cancelled is what was asked for, and a panic has been printed.
            let _ = task.await;
        }
    }
}
