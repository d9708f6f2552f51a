//! The life of one session, from its judgement on.

use std::{
    future::{Future, poll_fn},
    io,
    net::{self, SocketAddr},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use rustix::net::{SendFlags, send};
use tokio::{io::Interest, net::TcpStream};

use super::{
    Bytes,
    connect::Failed,
    control::Cut,
    copy::{Duplex, End, Idle, PipePool, fault},
    dial::{Dialled, dial},
    first_words::{FirstWords, ack_at_once},
    limits::Permit,
    published::Entered,
    sensor::Sensor,
    socket,
    stats::Place,
    workers::OnThread,
};
use crate::{config::Service, record::CloseReason};

/// An opened session. Fields are dropped in this order, after the sockets: these are
/// closed before the report is made, and what they counted against is given back last.
pub(super) struct Session {
    pub(super) service: Arc<Service>,
    pub(super) pipes: Arc<PipePool>,
    /// A PROXY header for the target, or nothing.
    pub(super) header: Vec<u8>,
    /// What was read of the client already.
    pub(super) ahead: Vec<u8>,
    pub(super) entered: Entered,
    pub(super) sensor: Sensor,
    pub(super) places: Places,
}

/// What an open session counts against.
pub(super) struct Places {
    pub(super) _permit: Permit,
    pub(super) _service: Place,
    pub(super) _thread: OnThread,
}

impl Session {
    /// As [`Self::run`], for a socket that has no poller yet.
    pub(super) async fn start(self, client: net::TcpStream) {
        // Where the poller takes no more, the session is over before it began.
        if let Ok(client) = TcpStream::from_std(client) {
            self.run(client).await;
        }
    }

    /// Dials the target and serves the client to the end.
    pub(super) async fn run(self, client: TcpStream) {
        // In reverse order of dropping.
        let Self { places: _places, mut sensor, entered, service, pipes, header, ahead } = self;
        let client = client;
        let spoken = if ahead.is_empty() { FirstWords::of(&client) } else { FirstWords::Waiting };
        let words = if header.is_empty() { spoken } else { FirstWords::Waiting };
        let Some(dialled) = reach(&service, words, &entered, &mut sensor).await else {
            return socket::reset_on_close(&client);
        };
        drop(service);
        let Dialled { stream: target, seat: _seat, .. } = dialled;
        let reason = match announce(&target, header, spoken).await {
            Ok(()) => {
                let duplex = Duplex::new(&client, &target, &pipes, ahead);
                serve((&client, &target), duplex, spoken, &entered, &mut sensor).await
            }
            Err(error) => End::of_target(&error).into(),
        };
        sensor.closed(reason);
        if !matches!(reason, CloseReason::ClientClosed | CloseReason::TargetClosed) {
            socket::reset_on_close(&client);
            socket::reset_on_close(&target);
        }
    }
}

/// A connection to one of the targets, or `None` where the session is over before.
async fn reach(
    service: &Service,
    words: FirstWords,
    entered: &Entered,
    sensor: &mut Sensor,
) -> Option<Dialled> {
    let mut tried = None;
    match dial_or_cut(service, words, entered, &mut tried).await {
        Ok(Ok(dialled)) => {
            sensor.connected(dialled.address);
            Some(dialled)
        }
        Ok(Err(failed)) => {
            sensor.failed(failed);
            None
        }
        Err(cut) => {
            sensor.dialling(tried);
            sensor.closed(cut.into());
            None
        }
    }
}

/// Tells the target whom it serves, together with the first words where these are there.
/// So little finds room in a socket that was just connected.
async fn announce(target: &TcpStream, header: Vec<u8>, spoken: FirstWords) -> io::Result<()> {
    let flags = match spoken {
        FirstWords::Waiting => SendFlags::NOSIGNAL | SendFlags::MORE,
        FirstWords::Unknown => SendFlags::NOSIGNAL,
    };
    let mut rest = header.as_slice();
    while !rest.is_empty() {
        let sent = target.async_io(Interest::WRITABLE, || Ok(send(target, rest, flags)?)).await?;
        rest = &rest[sent..];
    }
    if !header.is_empty() && spoken == FirstWords::Unknown {
        ack_at_once(target);
    }
    Ok(())
}

/// Dials, unless the session is cut meanwhile.
async fn dial_or_cut(
    service: &Service,
    words: FirstWords,
    entered: &Entered,
    tried: &mut Option<SocketAddr>,
) -> Result<Result<Dialled, Failed>, Cut> {
    let (pool, control) = (entered.published().pool(), entered.control());
    let mut dial =
        pin!(dial(pool, control.client().address, service.connect_timeout, words, tried));
    poll_fn(|cx| match control.poll_cut(cx) {
        Poll::Ready(cut) => Poll::Ready(Err(cut)),
        Poll::Pending => dial.as_mut().poll(cx).map(Ok),
    })
    .await
}

/// Copies both ways until the session ends, and says why it did.
async fn serve(
    (client, target): (&TcpStream, &TcpStream),
    mut duplex: Duplex<'_>,
    words: FirstWords,
    entered: &Entered,
    sensor: &mut Sensor,
) -> CloseReason {
    let mut acks_wait = words == FirstWords::Waiting;
    let mut idle = Idle::new(entered.published().settings().idle_timeout);
    // A reset must be seen on a side that is not being read, too. One that is tells it.
    let mut client_fault = pin!(fault(client));
    let mut target_fault = pin!(fault(target));
    poll_fn(|cx| {
        if let Poll::Ready(cut) = entered.control().poll_cut(cx) {
            return Poll::Ready(cut.into());
        }
        let (bytes, end) = duplex.poll(cx);
        sensor.moved(bytes);
        if acks_wait && bytes.up > 0 {
            acks_wait = false;
            ack_at_once(target);
        }
        if let Poll::Ready(end) = end {
            return Poll::Ready(end.into());
        }
        if !duplex.reads_client()
            && let Poll::Ready(error) = client_fault.as_mut().poll(cx)
        {
            return Poll::Ready(End::of_client(&error).into());
        }
        if !duplex.reads_target()
            && let Poll::Ready(error) = target_fault.as_mut().poll(cx)
        {
            return Poll::Ready(End::of_target(&error).into());
        }
        let moved = bytes != Bytes::default();
        idle.poll(cx, moved, || entered.published().settings().idle_timeout)
            .map(|()| CloseReason::IdleTimeout)
    })
    .await
}
