//! One listening socket and its accept loop.

use std::{io, net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use tokio::{net::TcpListener, task::JoinHandle};

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
    listener: TcpListener,
}

impl Bound {
    pub(super) fn new(address: SocketAddr) -> io::Result<Self> {
        let listener = socket::listen(address)?;
        Ok(Self { local: listener.local_addr()?, listener })
    }

    /// Starts accepting for `owner`.
    pub(super) fn start(self, owner: Arc<Published>, shared: &Arc<Shared>) -> Listening {
        let owner = Arc::new(ArcSwap::new(owner));
        let task = tokio::spawn(accept(self.listener, Arc::clone(&owner), Arc::clone(shared)));
        Listening { local: self.local, owner, task }
    }
}

/// A socket that accepts.
pub(super) struct Listening {
    local: SocketAddr,
    owner: Arc<ArcSwap<Published>>,
    task: JoinHandle<()>,
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
        self.task.abort();
        // Cancelled is what was asked for, and a panic has been printed.
        let _ = self.task.await;
    }
}
