//! What becomes of an accepted connection: a session, a few words before that, or a reset.

use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Instant,
};

use proxy_common::{
    address::{FlowKey, PROTOCOL_TCP},
    reason::Reason,
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Admission, Ended, Failure, Fate, Opened, Outcome,
    contract::{Client, Gate, Journal},
    copy::PipePool,
    front::{Front, Newcomer, Routes, Visit, Web, header},
    guest::{Guest, Host, Stay},
    intake::Intake,
    limits::{Budget, Limits, Permit},
    published::{Entered, Published},
    sensor::Sensor,
    session::{Places, Session},
    socket,
    stats::Place,
    workers::{Home, Runtimes},
};
use crate::config::{SendProxy, Service};

/// What all accept loops and sessions share.
pub(super) struct Shared {
    pub(super) gate: Arc<dyn Gate>,
    pub(super) journal: Arc<dyn Journal>,
    /// Who reads requests.
    pub(super) host: Arc<dyn Host>,
    pub(super) limits: Limits,
    pub(super) budget: Arc<Budget>,
    pub(super) pipes: Arc<PipePool>,
    pub(super) intake: watch::Sender<Intake>,
    /// Cancelled when nothing new is begun any more.
    pub(super) draining: CancellationToken,
    pub(super) sessions: TaskTracker,
    /// Of the workers, who end with the [`super::Listeners`].
    pub(super) runtimes: Runtimes,
}

/// Both ends of an accepted connection, and who accepted it.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) peer: SocketAddr,
    pub(super) service: SocketAddr,
    pub(super) home: Home,
}

/// Why a connection ends, and the service that ends it, where one was chosen.
pub(super) type TurnedAway = (Option<Arc<Service>>, Outcome);

/// Judges an accepted connection, and starts its session or resets it. Where it has to
/// introduce itself first, that is waited for in a task of its own.
pub(super) fn receive(client: TcpStream, ends: Ends, front: &Arc<Front>, shared: &Arc<Shared>) {
    let routes = front.routes();
    let proxied = routes.proxies_for(socket::client_address(ends.peer));
    let introduces_itself = proxied || routes.reads_names();
    match (routes.alone(), routes.web()) {
        (Some(owner), _) if !introduces_itself => serve(client, ends, owner, shared),
        (_, Some(web)) if !introduces_itself => host(client, ends, (front, web), shared),
        _ => introduce(client, ends, (front, &routes, proxied), shared),
    }
}

/// Whom it is for, its requests say.
fn host(client: TcpStream, ends: Ends, (front, web): (&Arc<Front>, Web), shared: &Arc<Shared>) {
    let flow = FlowKey::between(ends.peer, ends.service, PROTOCOL_TCP.into());
    let mut newcomer = Newcomer::new(Arc::clone(&shared.journal), flow, None);
    let Some(permit) = shared.budget.take_file() else {
        socket::reset_on_close(&client);
        return newcomer.ends(None, Outcome::Unserved(Failure::of(Reason::ConnectionLimit)));
    };
    let runtime = shared.runtimes.least_busy(ends.home);
    let stay = Stay {
        newcomer,
        front: Arc::clone(front),
        shared: Arc::clone(shared),
        entry: front.roll().enter(socket::client(ends.peer)),
        _permit: permit,
        _thread: runtime.enter(),
    };
    let host = Arc::clone(&shared.host);
    let serving = async move {
        // Where the poller takes no more, it is over before it began.
        let Ok(stream) = tokio::net::TcpStream::from_std(client) else { return };
        let (ahead, peer, local) = (Vec::new(), ends.peer, ends.service);
        let (client, listen_port) = (peer, local.port());
        host.serve(Guest { stream, ahead, client, local, peer, listen_port, web, stay }).await;
    };
    shared.sessions.spawn_on(serving, runtime.handle());
}

/// Nobody else could be meant: it is judged before a byte is read.
fn serve(client: TcpStream, ends: Ends, owner: &Arc<Published>, shared: &Arc<Shared>) {
    let started = Instant::now();
    let flow = FlowKey::between(ends.peer, ends.service, PROTOCOL_TCP.into());
    let turn_away = |service, outcome| {
        socket::reset_on_close(&client);
        let (service, ended) = (Some(service), Instant::now());
        shared.journal.ended(Ended { flow, service, introduction: None, started, ended, outcome });
    };
    if *shared.intake.borrow() == Intake::Refuse {
        return turn_away(owner.settings(), Outcome::Refused);
    }
    let judged = match judge(owner, socket::client(ends.peer), shared) {
        Ok(judged) => judged,
        Err((service, reason)) => return turn_away(service, Outcome::Denied(reason)),
    };
    let (service, admission) = (Arc::clone(&judged.service), judged.admission);
    let seats = shared.budget.take().and_then(|permit| Some((permit, judged.seat()?)));
    let Some((permit, place)) = seats else {
        let fate = Fate::ConnectionLimit;
        return turn_away(service, Outcome::Admitted { admission, fate });
    };
    let opened = Opened { flow, service, introduction: None, admission, started };
    let runtime = shared.runtimes.least_busy(ends.home);
    let places = Places { _permit: permit, _service: place, _thread: runtime.enter() };
    let sides = header::Ends { client: ends.peer, destination: ends.service };
    let session = judged.open(opened, places, (sides, Vec::new()), shared);
    shared.sessions.spawn_on(session.start(client), runtime.handle());
}

/// Waits for a PROXY header or a server name.
fn introduce(
    client: TcpStream,
    ends: Ends,
    (front, routes, proxied): (&Arc<Front>, &Routes, bool),
    shared: &Arc<Shared>,
) {
    let flow = FlowKey::between(ends.peer, ends.service, PROTOCOL_TCP.into());
    let alone = routes.alone().filter(|_| !routes.reads_names());
    let known = alone.map(|owner| owner.settings());
    let mut newcomer = Newcomer::new(Arc::clone(&shared.journal), flow, known);
    match admit(ends, routes, proxied, shared) {
        Ok((permit, judged)) => {
            let runtime = shared.runtimes.least_busy(ends.home);
            let visit = Visit {
                ends,
                proxied,
                judged,
                front: Arc::clone(front),
                newcomer,
                permit,
                thread: runtime.enter(),
                shared: Arc::clone(shared),
            };
            shared.sessions.spawn_on(visit.run(client), runtime.handle());
        }
        Err((service, outcome)) => {
            socket::reset_on_close(&client);
            newcomer.ends(service, outcome);
        }
    }
}

/// What a connection needs to be waited for: room, and where only one service can be
/// meant and the peer is the client, that service's permission.
fn admit(
    ends: Ends,
    routes: &Routes,
    proxied: bool,
    shared: &Shared,
) -> Result<(Permit, Option<Judged>), TurnedAway> {
    if *shared.intake.borrow() == Intake::Refuse {
        return Err((None, Outcome::Refused));
    }
    let judged = routes.alone().filter(|_| !proxied);
    let judged = judged.map(|owner| judge(owner, socket::client(ends.peer), shared));
    let judged = match judged.transpose() {
        Ok(judged) => judged,
        Err((service, reason)) => return Err((Some(service), Outcome::Denied(reason))),
    };
    match (shared.budget.take(), judged) {
        (Some(permit), judged) => Ok((permit, judged)),
        (None, Some(Judged { service, admission, .. })) => {
            let fate = Fate::ConnectionLimit;
            Err((Some(service), Outcome::Admitted { admission, fate }))
        }
        (None, None) => Err((None, Outcome::Unserved(Failure::of(Reason::ConnectionLimit)))),
    }
}

/// A client that a service's policy lets pass.
pub(crate) struct Judged {
    pub(crate) service: Arc<Service>,
    pub(crate) entered: Entered,
    pub(crate) admission: Admission,
}

/// Judges `client` for a service, and enters it into its roll.
///
/// # Errors
/// What the policy denies it for.
pub(super) fn judge(
    owner: &Arc<Published>,
    client: Client,
    shared: &Shared,
) -> Result<Judged, (Arc<Service>, Reason)> {
    let service = owner.settings();
    let entered = owner.enter(client);
    let judgement = shared.gate.judge(&service.name, client);
    if let Some(reason) = judgement.denied {
        owner.counters().deny(reason);
        return Err((service, reason));
    }
    let admission =
        Admission { observed: judgement.observed, country_exempt: judgement.country_exempt };
    Ok(Judged { service, entered, admission })
}

impl Judged {
    /// Whether it is that service which lets the client pass.
    pub(super) fn is_for(&self, owner: &Arc<Published>) -> bool {
        Arc::ptr_eq(self.entered.published(), owner)
    }

    /// One of the service's places, where there is one left.
    pub(crate) fn seat(&self) -> Option<Place> {
        let counters = self.entered.published().counters();
        counters.enter(self.service.max_connections.get())
    }

    /// Opens a session between `sides`; `ahead` was read of the client already.
    pub(super) fn open(
        self,
        opened: Opened,
        places: Places,
        (sides, ahead): (header::Ends, Vec<u8>),
        shared: &Shared,
    ) -> Session {
        let Self { service, entered, .. } = self;
        let counters = Arc::clone(entered.published().counters());
        let sensor = Sensor::open(Arc::clone(&shared.journal), counters, opened);
        let header = match service.proxy_protocol.send {
            SendProxy::Off => Vec::new(),
            SendProxy::V1 => header::write(header::Version::V1, sides),
            SendProxy::V2 => header::write(header::Version::V2, sides),
        };
        let pipes = Arc::clone(&shared.pipes);
        Session { service, pipes, header, ahead, entered, sensor, places }
    }
}
