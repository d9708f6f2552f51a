//! A new connection to a target, up to where requests can be sent.

use std::{io, net::SocketAddr, sync::Arc};

use hyper::{
    client::conn::{http1, http2},
    rt::{Read, Write},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use smol_str::ToSmolStr;
use tokio::{
    net::TcpStream,
    time::{Duration, Instant, timeout_at},
};
use tokio_rustls::TlsConnector;
use tokio_util::io::InspectReader;

use super::{
    sender::{Sender, Speaks},
    tls::{ClientTls, server_name},
};
use crate::{
    config::{Scheme, Target},
    http::body::Upload,
    relay::{DialError, FirstWords, Member, Permit},
};

/// A target's head may be so large, and so much is read of a body at a time. It may have
/// up to 100 lines: for these, hyper needs no memory that it has to ask for.
const MOST_HEAD: usize = 128 * 1024;
/// What a connection of HTTP/2 may have under way towards Weir, and each of its requests.
const CONNECTION_WINDOW: u32 = 2 << 20;
const STREAM_WINDOW: u32 = 512 << 10;

/// How a target is reached.
#[derive(Clone, Copy)]
pub(in crate::http) struct Reach<'a> {
    pub(in crate::http) scheme: Scheme,
    /// Whether its certificate must be good.
    pub(in crate::http) verify: bool,
    /// Whether it may go on with another protocol, which HTTP/2 cannot.
    pub(in crate::http) upgrades: bool,
    pub(in crate::http) tls: &'a ClientTls,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(in crate::http) enum Failure {
    /// The dial failed.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// TLS, or the beginning of HTTP/2.
    #[error("{0}")]
    Handshake(io::Error),
    /// It took too long.
    #[error("connect_timeout passed")]
    Timeout,
}

impl Failure {
    /// Whether it says something of this host alone.
    pub(in crate::http) fn is_ours(&self) -> bool {
        matches!(self, Self::Dial(error) if error.is_ours())
    }

    pub(in crate::http) fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout | Self::Dial(DialError::Timeout))
    }
}

/// Connects to `member` by `deadline`. `tried` tells the last address that was dialled.
pub(in crate::http) async fn connect(
    (member, permit): (&Arc<Member>, Permit),
    reach: Reach<'_>,
    deadline: Instant,
    tried: &mut Option<SocketAddr>,
) -> Result<Sender, Failure> {
    let (stream, address) = member.connect(FirstWords::Unknown, deadline, tried).await?;
    let speaks =
        timeout_at(deadline, speak(stream, (member.target(), address), reach, permit)).await;
    let speaks = speaks.map_err(|_| Failure::Timeout)?.map_err(Failure::Handshake)?;
    let address = address.to_smolstr();
    Ok(Sender { speaks, address, used: false, member: Arc::clone(member) })
}

/// Agrees with a target on how requests are sent. `permit` is held as long as the
/// connection is open, also when it goes on with another protocol.
pub(in crate::http) async fn speak(
    stream: TcpStream,
    (target, address): (&Target, SocketAddr),
    reach: Reach<'_>,
    permit: impl Send + 'static,
) -> io::Result<Speaks> {
    // What it is asked at each read is nothing: it goes with the socket.
    let stream = InspectReader::new(stream, move |_: &[u8]| {
        let _held = &permit;
    });
    match reach.scheme {
        Scheme::Http => http1(TokioIo::new(stream)).await,
        Scheme::H2c => http2(TokioIo::new(stream)).await,
        Scheme::Https => {
            let connector = TlsConnector::from(reach.tls.config(reach.verify, reach.upgrades));
            let name = server_name(target, address);
            let stream = connector.connect(name, stream).await?;
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let stream = TokioIo::new(stream);
            if is_http2 { http2(stream).await } else { http1(stream).await }
        }
    }
}

async fn http1<I>(io: I) -> io::Result<Speaks>
where
    I: Read + Write + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MOST_HEAD);
    let (sender, connection) =
        builder.handshake::<_, Upload>(io).await.map_err(io::Error::other)?;
    // How it ends, those hear who have a request on it.
    tokio::spawn(connection.with_upgrades());
    Ok(Speaks::Http1(sender))
}

async fn http2<I>(io: I) -> io::Result<Speaks>
where
    I: Read + Write + Unpin + Send + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    let (sender, connection) =
        builder.handshake::<_, Upload>(io).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(Speaks::Http2(sender))
}
