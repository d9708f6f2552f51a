//! One listening socket and its accept loop.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use socket2::SockRef;
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::JoinHandle,
    time::{Duration, Instant},
};
use tracing::warn;

use super::{
    accept::accept,
    control::Cut,
    descriptor::Descriptor,
    front::{Front, Routes},
    receive::Shared,
    socket,
    workers::{Home, Runtimes},
};

/// How long a socket that made room for another still accepts whom it has answered:
/// many round trips, but less than the second after which those whom it ignores come
/// again, and are to find the other.
pub(super) const GRACE: Duration = Duration::from_millis(800);

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
    listener: Arc<AsyncFd<TcpListener>>,
    home: Home,
}

impl Bound {
    pub(super) fn on(socket: TcpListener, runtimes: &Runtimes) -> io::Result<Self> {
        let home = runtimes.home();
        let _context = runtimes.at(home).enter();
        let local = socket.local_addr()?;
        #[expect(deprecated, reason = "a listener owns its descriptor, and never changes it")]
        let listener = AsyncFd::with_interest(socket, Interest::READABLE)?;
        Ok(Self { local, listener: Arc::new(listener), home })
    }

    /// Starts accepting for services.
    pub(super) fn start(self, routes: Routes, shared: &Arc<Shared>) -> Listening {
        let Self { local, listener, home } = self;
        let front = Front::new(routes);
        let accepting = accept(Arc::clone(&listener), home, Arc::clone(&front), Arc::clone(shared));
        let task = shared.runtimes.at(home).spawn(accepting);
        let listening = Listening { local, front, listener, task, retires: None };
        listening.take_syns();
        listening
    }
}

/// A socket that accepts.
pub(super) struct Listening {
    local: SocketAddr,
    front: Arc<Front>,
    listener: Arc<AsyncFd<TcpListener>>,
    task: JoinHandle<()>,
    /// When it is to be closed, once another has taken its place.
    retires: Option<Instant>,
}

impl Listening {
    /// Where it listens.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// It, for another process.
    pub(super) fn descriptor(&self) -> Descriptor {
        Descriptor::stream(self.local, Arc::clone(&self.listener))
    }

    /// What stands before its services.
    pub(super) fn front(&self) -> &Arc<Front> {
        &self.front
    }

    /// Leads the connections to come to these services, which may take it out of
    /// retirement.
    pub(super) fn hand_to(&mut self, routes: Routes) {
        self.front.lead(routes);
        if self.retires.take().is_some() {
            self.take_syns();
        }
    }

    /// Leaves new connections to another socket, and is to be closed after [`GRACE`].
    pub(super) fn retire(&mut self) {
        if self.retires.is_some() {
            return;
        }
        self.retires = Some(Instant::now() + GRACE);
        if let Err(error) = socket::drop_syns(&self.socket()) {
            let address = self.local;
            warn!(%address, %error, "connections may be reset as the listener is replaced");
        }
    }

    /// Whether another has taken its place.
    pub(super) fn is_retired(&self) -> bool {
        self.retires.is_some()
    }

    /// Whether its time is over.
    pub(super) fn is_over(&self) -> bool {
        self.retires.is_some_and(|at| at <= Instant::now())
    }

    /// Closes the socket; when this returns, the port refuses.
    pub(super) async fn stop(self) {
        self.task.abort();
        // Cancelled is what was asked for, and a panic has been printed.
        let _ = self.task.await;
    }

    /// As [`Self::stop`], and ends the connections that were not led to a service yet.
    pub(super) async fn stop_all(self) {
        let front = Arc::clone(&self.front);
        self.stop().await;
        front.roll().close(Cut::ServiceRemoved);
    }

    fn take_syns(&self) {
        // It fails only where none were dropped.
        let _ = socket::take_syns(&self.socket());
    }

    pub(super) fn socket(&self) -> SockRef<'_> {
        SockRef::from(self.listener.get_ref())
    }
}
