//! TLS with a client.

use proxy_common::reason::Reason;
use rustls::{ProtocolVersion, server::Acceptor};
use tokio::{
    io::AsyncWriteExt,
    time::{Duration, timeout},
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::{connection::Connection, rewound::Rewound};
use crate::{
    flow::{Failure, Introduction},
    record::{CloseReason, Protocol, TlsVersion, shown},
};

/// For all of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// A fatal alert, `unrecognized_name` (RFC 8446, 6; RFC 6066, 3).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
/// Bytes of a server name that is shown.
const MOST_NAME: usize = 253;

/// What was agreed on.
#[derive(Clone, Debug)]
pub(super) struct TlsFacts {
    /// The name that the client asked for, in lower case.
    pub(super) server_name: Option<String>,
    pub(super) version: Option<TlsVersion>,
    pub(super) is_http2: bool,
}

/// Accepts TLS, unless the client asks for a name that nobody here has.
pub(super) async fn handshake(
    connection: &Connection,
    stream: Rewound,
    introduction: &mut Introduction,
) -> Result<(TlsStream<Rewound>, TlsFacts), Failure> {
    let accepting = accept(connection, stream, introduction);
    let cut = connection.house.cut();
    tokio::select! {
        biased;
        cut = cut => Err(failed(&"", Some(cut.into()))),
        accepted = timeout(PATIENCE, accepting) => accepted.unwrap_or_else(|_| {
            let error = format!("no handshake within {PATIENCE:?}");
            Err(failed(&error, Some(CloseReason::IdleTimeout)))
        }),
    }
}

async fn accept(
    connection: &Connection,
    stream: Rewound,
    introduction: &mut Introduction,
) -> Result<(TlsStream<Rewound>, TlsFacts), Failure> {
    match stream.begins().await {
        Ok(true) => {}
        Ok(false) => return Err(silent(CloseReason::ClientClosed)),
        Err(_) => return Err(silent(CloseReason::ClientReset)),
    }
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await;
    let mut start = start.map_err(|error| failed(&error, None))?;
    let hello = start.client_hello();
    let server_name = hello.server_name().map(str::to_ascii_lowercase);
    introduction.server_name =
        server_name.as_ref().map(|name| shown(name.as_bytes(), MOST_NAME).into());
    let config = connection.http.certificates.config_for(&hello);
    let is_known = server_name.as_deref().is_none_or(|name| connection.is_host(name));
    let Some(config) = config.filter(|config| is_known || is_validation(config)) else {
        // Whether the client hears why makes no difference to the record.
        let _ = start.io.write_all(&UNRECOGNIZED_NAME).await;
        return Err(Failure { reason: Reason::UnknownHost, ..failed(&"", None) });
    };
    let stream = start.into_stream(config).await.map_err(|error| failed(&error, None))?;
    let session = stream.get_ref().1;
    let version = session.protocol_version().and_then(version);
    introduction.tls_version = version;
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    Ok((stream, TlsFacts { server_name, version, is_http2 }))
}

/// Whether it answers nobody but an authority that validates a domain.
fn is_validation(config: &rustls::ServerConfig) -> bool {
    config.alpn_protocols.iter().any(|protocol| protocol == b"acme-tls/1")
}

/// Who left without a word wanted no handshake: health checks do so.
fn silent(why: CloseReason) -> Failure {
    Failure { close_reason: Some(why), ..Failure::of(Reason::ClientAborted) }
}

fn failed(error: &dyn std::fmt::Display, close_reason: Option<CloseReason>) -> Failure {
    Failure {
        protocol: Some(Protocol::Tls),
        error: error.to_string(),
        close_reason,
        ..Failure::of(Reason::TlsHandshakeFailed)
    }
}

fn version(version: ProtocolVersion) -> Option<TlsVersion> {
    match version {
        ProtocolVersion::TLSv1_2 => Some(TlsVersion::Tls12),
        ProtocolVersion::TLSv1_3 => Some(TlsVersion::Tls13),
        _ => None,
    }
}
