//! A connection whose requests are to be read, on its way to who reads them.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::Instant,
};

use arc_swap::Guard;
use proxy_common::reason::Reason;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{
    Outcome,
    contract::{Client, Examination},
    control::{Control, Cut},
    front::{Front, Newcomer, Routes, Web},
    intake::Intake,
    limits::Permit,
    published::Published,
    receive::{Judged, Shared, judge},
    roll::Entry,
    workers::OnThread,
};
use crate::{
    config::{Route, Service, WebTarget},
    flow::Introduction,
};

/// Who reads requests.
pub trait Host: Send + Sync + 'static {
    /// Serves a connection to its end, on the thread that calls.
    fn serve(&self, guest: Guest) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// How a target of a route is looked at; `None`: a connection tells enough.
    fn examination(
        &self,
        service: &Service,
        route: &Route,
        target: &WebTarget,
    ) -> Option<Examination>;
}

/// An accepted connection, and what it counts against. Nobody was judged yet.
pub struct Guest {
    /// The connection.
    pub(crate) stream: TcpStream,
    /// What was read of it, and is to be read again.
    pub(crate) ahead: Vec<u8>,
    /// The client, by a PROXY header where there was one.
    pub(crate) client: SocketAddr,
    /// The address that it addressed, by that header as well.
    pub(crate) local: SocketAddr,
    /// Who connected: the client, or a proxy that speaks for it.
    pub(crate) peer: SocketAddr,
    /// The port that it was accepted on.
    pub(crate) listen_port: u16,
    /// How requests come.
    pub(crate) web: Web,
    /// Reports it in the end.
    pub(crate) stay: Stay,
}

/// A guest's place here. Fields are dropped in this order.
pub(crate) struct Stay {
    pub(super) newcomer: Newcomer,
    pub(super) front: Arc<Front>,
    pub(super) shared: Arc<Shared>,
    pub(super) entry: Entry,
    pub(super) _permit: Permit,
    pub(super) _thread: OnThread,
}

impl Stay {
    /// When it was accepted.
    pub(crate) fn started(&self) -> Instant {
        self.newcomer.started()
    }

    /// What it told of itself.
    pub(crate) fn introduction(&mut self) -> &mut Introduction {
        self.newcomer.introduction()
    }

    /// It ends so.
    pub(crate) fn ends(&mut self, outcome: Outcome) {
        self.newcomer.ends(None, outcome);
    }

    /// What requests go by.
    pub(crate) fn house(&self) -> House {
        let (front, shared) = (Arc::clone(&self.front), Arc::clone(&self.shared));
        House { front, shared, control: Arc::clone(self.entry.control()) }
    }
}

/// What a request needs to know of the place that it came to.
#[derive(Clone)]
pub(crate) struct House {
    front: Arc<Front>,
    shared: Arc<Shared>,
    control: Arc<Control>,
}

impl House {
    /// The services in force.
    pub(crate) fn routes(&self) -> Guard<Arc<Routes>> {
        self.front.routes()
    }

    /// Judges `client` for a service, and enters it into its roll.
    ///
    /// # Errors
    /// What the policy denies it for.
    pub(crate) fn judge(
        &self,
        owner: &Arc<Published>,
        client: Client,
    ) -> Result<Judged, (Arc<Service>, Reason)> {
        judge(owner, client, &self.shared)
    }

    /// The order to end it, where there is one.
    pub(crate) fn order(&self) -> Option<Cut> {
        self.control.order()
    }

    /// Ready when the connection is to end at once, with whatever is under way.
    pub(crate) async fn cut(&self) -> Cut {
        poll_fn(|cx| self.control.poll_cut(cx)).await
    }

    /// Cancelled when no more than what is under way is to be served.
    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.shared.draining
    }

    /// Whether requests are taken; this waits while that is open.
    pub(crate) async fn intake(&self) -> Intake {
        let now = *self.shared.intake.borrow();
        if now != Intake::Hold {
            return now;
        }
        let mut changes = self.shared.intake.subscribe();
        let decided = Box::pin(changes.wait_for(|intake| *intake != Intake::Hold)).await;
        // The sender outlives every connection, so waiting for it does not fail.
        decided.map_or(now, |intake| *intake)
    }

    /// One more file, for a connection to a target.
    pub(crate) fn file(&self) -> Option<Permit> {
        self.shared.budget.take_file()
    }
}
