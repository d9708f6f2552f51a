//! Leads a connection to its service: reads a PROXY header and a server name, as far as
//! they are to be read, and judges the client for the service that it asks for.

use std::{convert::Infallible, future::poll_fn, net, sync::Arc, time::Duration};

use proxy_common::reason::Reason;
use tokio::net::TcpStream;

use super::{
    Front, Lead, Newcomer, Routes, Web,
    failure::Stage,
    header,
    hello::{self, Hello},
    reader::{Reader, Stop},
};
use crate::{
    flow::{Failure, Fate, Introduction, Outcome},
    relay::{
        control::Control,
        guest::{Guest, Stay},
        intake::Intake,
        limits::Permit,
        receive::{Ends, Judged, Shared, TurnedAway, judge},
        session::{Places, Session},
        socket,
        stats::Place,
        workers::OnThread,
    },
};

/// A connection that is to introduce itself. Fields are dropped in this order, after the
/// socket.
pub(in crate::relay) struct Visit {
    pub(in crate::relay) ends: Ends,
    /// It begins with a PROXY header.
    pub(in crate::relay) proxied: bool,
    /// For the only service that can be meant.
    pub(in crate::relay) judged: Option<Judged>,
    pub(in crate::relay) front: Arc<Front>,
    pub(in crate::relay) newcomer: Newcomer,
    pub(in crate::relay) permit: Permit,
    pub(in crate::relay) thread: OnThread,
    pub(in crate::relay) shared: Arc<Shared>,
}

/// Where a connection goes on.
enum Way {
    /// To a service.
    Service(Led),
    /// To who reads its requests.
    Web { web: Web, sides: header::Ends, ahead: Vec<u8> },
}

/// A connection that has a service.
struct Led {
    judged: Judged,
    place: Place,
    sides: header::Ends,
    /// What was read and is to go on.
    ahead: Vec<u8>,
}

impl Visit {
    /// Waits for the introduction, then serves the client to the end.
    pub(in crate::relay) async fn run(mut self, client: net::TcpStream) {
        let Ok(client) = TcpStream::from_std(client) else { return };
        match self.introduce(&client).await {
            Ok(Way::Service(led)) => self.open(led).run(client).await,
            Ok(Way::Web { web, sides, ahead }) => self.lodge(client, web, (sides, ahead)).await,
            Err((service, outcome)) => {
                socket::reset_on_close(&client);
                self.newcomer.ends(service, outcome);
            }
        }
    }

    async fn introduce(&mut self, client: &TcpStream) -> Result<Way, TurnedAway> {
        let entry;
        let control = if let Some(judged) = &self.judged {
            judged.entered.control()
        } else {
            entry = self.front.roll().enter(socket::client(self.ends.peer));
            entry.control()
        };
        let patience = self.shared.limits.patience;
        let deadline = self.newcomer.started() + patience;
        let mut reader = Reader::new(client, control, deadline.into());
        let introduction = self.newcomer.introduction();
        let mut sides = header::Ends { client: self.ends.peer, destination: self.ends.service };
        if self.proxied {
            let told = read_header(&mut reader, introduction, patience).await;
            sides = told.map_err(unserved)?.unwrap_or(sides);
        }
        let (mut stage, mut asked) = (Stage::Header, Asked::Nothing);
        if self.front.routes().reads_names() {
            stage = Stage::Hello;
            asked = read_hello(&mut reader, patience).await.map_err(unserved)?;
        }
        intake(&self.shared, control, stage).await.map_err(|outcome| (None, outcome))?;
        let ahead = reader.into_bytes();
        let routes = self.front.routes();
        let owner = match choose(&routes, asked, introduction).map_err(unserved)? {
            Lead::Service(owner) => owner,
            Lead::Web(web) => return Ok(Way::Web { web, sides, ahead }),
        };
        let judged = self.judged.take().filter(|known| known.is_for(owner));
        let judged = match judged {
            Some(judged) => judged,
            None => judge(owner, socket::client(sides.client), &self.shared)
                .map_err(|(service, reason)| (Some(service), Outcome::Denied(reason)))?,
        };
        let Some(place) = judged.seat() else {
            let fate = Fate::ConnectionLimit;
            let outcome = Outcome::Admitted { admission: judged.admission, fate };
            return Err((Some(judged.service), outcome));
        };
        Ok(Way::Service(Led { judged, place, sides, ahead }))
    }

    fn open(self, led: Led) -> Session {
        let Led { judged, place, sides, ahead } = led;
        let opened = self.newcomer.open(Arc::clone(&judged.service), judged.admission);
        let places = Places { _permit: self.permit, _service: place, _thread: self.thread };
        judged.open(opened, places, (sides, ahead), &self.shared)
    }
}

impl Visit {
    async fn lodge(self, stream: TcpStream, web: Web, (sides, ahead): (header::Ends, Vec<u8>)) {
        let Self { ends, front, newcomer, permit, thread, shared, .. } = self;
        let host = Arc::clone(&shared.host);
        let entry = front.roll().enter(socket::client(sides.client));
        let stay = Stay { newcomer, front, shared, entry, _permit: permit, _thread: thread };
        let (client, local) = (sides.client, sides.destination);
        let (peer, listen_port) = (ends.peer, ends.service.port());
        host.serve(Guest { stream, ahead, client, local, peer, listen_port, web, stay }).await;
    }
}

fn unserved(failure: Failure) -> TurnedAway {
    (None, Outcome::Unserved(failure))
}

/// Whom the peer speaks for, where that is not itself.
async fn read_header(
    reader: &mut Reader<'_>,
    introduction: &mut Introduction,
    patience: Duration,
) -> Result<Option<header::Ends>, Failure> {
    let header = match reader.find(header::MOST_BYTES, header::parse).await {
        Ok(header) => header,
        Err(stop) => return Err(Stage::Header.failure(stop, !reader.is_empty(), patience)),
    };
    reader.skip(header.length);
    introduction.header = u32::try_from(header.length).unwrap_or(u32::MAX);
    introduction.client = header.ends.map(|ends| ends.client);
    Ok(header.ends)
}

/// What a connection asks for.
enum Asked {
    Nothing,
    Name(Hello),
    /// By something else than a `ClientHello`.
    Other(hello::Broken),
}

async fn read_hello(reader: &mut Reader<'_>, patience: Duration) -> Result<Asked, Failure> {
    let mut parser = hello::Reader::default();
    match reader.find(hello::MOST_BYTES, |bytes| parser.look(bytes)).await {
        Ok(hello) => Ok(Asked::Name(hello)),
        Err(Stop::Broken(broken)) => Ok(Asked::Other(broken)),
        Err(stop) => Err(Stage::Hello.failure(stop, !reader.is_empty(), patience)),
    }
}

/// Who is to serve it.
fn choose<'a>(
    routes: &'a Routes,
    asked: Asked,
    introduction: &mut Introduction,
) -> Result<Lead<'a>, Failure> {
    let (found, failure) = match asked {
        Asked::Nothing => (routes.unnamed(), Failure::of(Reason::UnknownHost)),
        Asked::Other(broken) => {
            let error = broken.to_string();
            (routes.unnamed(), Failure { error, ..Failure::of(Reason::TlsHandshakeFailed) })
        }
        Asked::Name(Hello { server_name, version }) => {
            introduction.tls_version = version;
            introduction.server_name = server_name;
            let name = introduction.server_name.as_deref();
            let error = if name.is_none() { "the client asked for no server name" } else { "" };
            let error = error.to_owned();
            (routes.named(name), Failure { error, ..Failure::of(Reason::UnknownHost) })
        }
    };
    found.ok_or(failure)
}

/// Waits while no connection is to be taken: another policy comes in force, or records
/// come faster than they can be written.
async fn intake(shared: &Shared, control: &Control, stage: Stage) -> Result<(), Outcome> {
    let mut intake = shared.intake.subscribe();
    let intake = tokio::select! {
        biased;
        cut = poll_fn(|cx| control.poll_cut(cx)) => {
            let stop = Stop::<Infallible>::Cut(cut);
            return Err(Outcome::Unserved(stage.failure(stop, true, shared.limits.patience)));
        }
        // The sender outlives every session, so waiting for it does not fail.
        intake = intake.wait_for(|intake| *intake != Intake::Hold) => intake.map(|i| *i),
    };
    if matches!(intake, Ok(Intake::Refuse)) { Err(Outcome::Refused) } else { Ok(()) }
}
