//! One client's connection, from accept to its end.

use std::{
    error::Error,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use proxy_common::reason::Reason;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Duration, Instant, sleep_until},
};

use super::{
    Inner,
    answer::answer,
    exchange::Exchange,
    forward::Switch,
    forwarded::Lines,
    handshake::{TlsFacts, handshake},
    linger::linger,
    malformed,
    pulse::{Health, Pulse, Watched},
    rewound::Rewound,
    taken::Streams,
    tunnel::tunnel,
};
use crate::{
    flow::{Failure, Outcome},
    record::{CloseReason, Protocol},
    relay::{Cut, Guest, House, Web},
};

/// A head may be so large. It may have up to 100 lines: for these, hyper needs no memory
/// that it has to ask for.
const MOST_HEAD: usize = 64 * 1024;
/// Requests that a client may have under way on one connection.
const MOST_STREAMS: u32 = 128;
/// What a client may send on a connection of HTTP/2 before it is taken on, and of one
/// request.
const CONNECTION_WINDOW: u32 = 1 << 20;
const STREAM_WINDOW: u32 = 256 << 10;
/// What waits to be sent of one answer.
const SEND_BUFFER: usize = 128 << 10;
/// What the kernel keeps of an answer before it is sent. Without a limit, clients that do
/// not read fill what memory the host has for TCP.
const UNSENT: u32 = 128 << 10;

/// What requests of a connection share.
pub(super) struct Connection {
    pub(super) http: Arc<Inner>,
    pub(super) house: House,
    pub(super) client: SocketAddr,
    /// A proxy that speaks for the client by the PROXY protocol.
    pub(super) proxy: Option<SocketAddr>,
    pub(super) listen_port: u16,
    pub(super) tls: Option<TlsFacts>,
    /// What its requests tell targets alike.
    pub(super) lines: Lines,
    pub(super) pulse: Arc<Pulse>,
    /// Where it goes on with another protocol.
    switch: Mutex<Option<(Switch, Box<Exchange>)>>,
    /// Whether a request came: from then on, requests make the records.
    pub(super) asked: AtomicBool,
}

/// Why a connection is over.
enum End {
    /// By itself.
    Over(hyper::Result<()>),
    /// By an order.
    Cut(Cut),
    /// A time limit passed.
    Late(Health),
}

/// Serves a guest to the end.
pub(super) async fn serve(http: Arc<Inner>, guest: Guest) {
    let Guest { stream, ahead, client, local, peer, listen_port, web, mut stay } = guest;
    // Where that cannot be set, the connection is served all the same.
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
    let stream = Rewound::new(stream, ahead);
    let house = stay.house();
    let pulse = Pulse::new(stay.started());
    let connection = Connection {
        http,
        house,
        client,
        lines: Lines::of(client.ip(), local.port()),
        proxy: Some(peer).filter(|peer| *peer != client),
        listen_port,
        tls: None,
        pulse,
        switch: Mutex::default(),
        asked: AtomicBool::new(false),
    };
    let outcome = match web {
        Web::Plain => converse(connection, stream).await,
        Web::Tls => match handshake(&connection, stream, stay.introduction()).await {
            Ok((stream, tls)) => {
                converse(Connection { tls: Some(tls), ..connection }, stream).await
            }
            Err(failure) => Outcome::Unserved(failure),
        },
    };
    stay.ends(outcome);
}

/// Answers requests in the protocol that was agreed on.
async fn converse<S>(connection: Connection, stream: S) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let is_http2 = connection.tls.as_ref().is_some_and(|tls| tls.is_http2);
    let connection = Arc::new(connection);
    let pulse = Arc::clone(&connection.pulse);
    let io = TokioIo::new(Watched { stream, pulse, is_http2 });
    let (end, unread) =
        if is_http2 { (http2(&connection, io).await, None) } else { http1(&connection, io).await };
    let switch = connection.switch.lock().take();
    if let Some((switch, exchange)) = switch {
        tunnel(&connection, switch, exchange).await;
    }
    let outcome = outcome(&connection, end);
    if let Some(stream) = unread {
        linger(&connection.house, stream).await;
    }
    outcome
}

impl Connection {
    /// It goes on with another protocol.
    pub(super) fn switches(&self, switch: Switch, exchange: Box<Exchange>) {
        *self.switch.lock() = Some((switch, exchange));
    }
}

/// Gives the stream back where the client may still be sending what nobody reads.
async fn http1<S>(connection: &Arc<Connection>, io: TokioIo<Watched<S>>) -> (End, Option<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answering = Arc::clone(connection);
    let service = service_fn(move |request| answer(Arc::clone(&answering), request));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(MOST_HEAD)
        .max_header_size(MOST_HEAD)
        .half_close(false);
    let mut serving = builder.serve_connection(io, service).with_upgrades();
    let finish = http1::UpgradeableConnection::graceful_shutdown;
    let end = drive(connection, Pin::new(&mut serving), finish).await;
    let is_unread = match &end {
        End::Over(Ok(())) => connection.pulse.is_unread(),
        End::Over(Err(error)) => is_malformed(error),
        End::Cut(_) | End::Late(_) => false,
    };
    let parts = if is_unread { serving.into_parts() } else { None };
    (end, parts.map(|parts| parts.io.into_inner().stream))
}

async fn http2<S>(connection: &Arc<Connection>, io: TokioIo<Watched<S>>) -> End
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answering = Arc::clone(connection);
    // In a box, since each becomes a task and is moved many times until then.
    let service = service_fn(move |request| Box::pin(answer(Arc::clone(&answering), request)));
    let mut builder = http2::Builder::new(Streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(u32::try_from(MOST_HEAD).unwrap_or(u32::MAX))
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let serving = pin!(builder.serve_connection(io, service));
    drive(connection, serving, http2::Connection::graceful_shutdown).await
}

/// What others want of a connection.
enum Order {
    /// It is over.
    Cut(Cut),
    /// It serves what is under way, and no more.
    Finish,
}

/// Orders to a connection, as they come. They are asked for only when they woke the task:
/// all connections share what they come by, so asking with every byte would be dear.
fn orders(house: &House) -> FuturesUnordered<Pin<Box<dyn Future<Output = Order> + Send>>> {
    let (cut, finish) = (house.clone(), house.clone());
    let orders = FuturesUnordered::<Pin<Box<dyn Future<Output = Order> + Send>>>::new();
    orders.push(Box::pin(async move { Order::Cut(cut.cut().await) }));
    orders.push(Box::pin(async move {
        finish.draining().cancelled().await;
        Order::Finish
    }));
    orders
}

/// Drives a connection until it is over or has to be.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    connection: &Connection,
    mut serving: Pin<&mut C>,
    finish: impl Fn(Pin<&mut C>),
) -> End {
    let mut orders = orders(&connection.house);
    let mut look = pin!(sleep_until(Instant::now()));
    let mut finishing = false;
    loop {
        tokio::select! {
            biased;
            Some(order) = orders.next() => match order {
                Order::Cut(cut) => return End::Cut(cut),
                Order::Finish => {
                    finishing = true;
                    finish(serving.as_mut());
                }
            },
            over = serving.as_mut() => return End::Over(over),
            () = look.as_mut() => match connection.pulse.health() {
                Health::Good(next) => look.as_mut().reset(next.into()),
                Health::Idle if !finishing => {
                    finishing = true;
                    finish(serving.as_mut());
                    look.as_mut().reset(Instant::now() + Duration::from_secs(5));
                }
                late => return End::Late(late),
            },
        }
    }
}

/// Whether a head could not be read.
fn is_malformed(error: &hyper::Error) -> bool {
    error.is_parse() || error.is_parse_too_large()
}

/// What went wrong, and what was behind it.
fn told(error: &hyper::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// What the connection itself is recorded as: nothing where requests were.
fn outcome(connection: &Arc<Connection>, end: End) -> Outcome {
    if let End::Over(Err(error)) = &end
        && is_malformed(error)
    {
        malformed::record(connection, error);
        return Outcome::Recorded;
    }
    if connection.asked.load(Relaxed) {
        return Outcome::Recorded;
    }
    let (error, close_reason) = match end {
        End::Over(Ok(())) => (String::new(), CloseReason::ClientClosed),
        End::Over(Err(error)) => (told(&error), CloseReason::ClientClosed),
        End::Cut(cut) => (String::new(), cut.into()),
        End::Late(Health::SlowHead) => {
            ("the request's head did not end".to_owned(), CloseReason::IdleTimeout)
        }
        End::Late(_) => ("no request came".to_owned(), CloseReason::IdleTimeout),
    };
    Outcome::Unserved(Failure {
        protocol: Some(Protocol::Http),
        error,
        close_reason: Some(close_reason),
        ..Failure::of(Reason::ClientAborted)
    })
}
