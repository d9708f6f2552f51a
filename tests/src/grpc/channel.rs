//! The client.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
};

use anyhow::Result;
use futures_util::future::{BoxFuture, FutureExt};
use hyper::{Request, Response, Uri, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    body::Body,
    client::{Grpc, GrpcService},
};

use crate::{client, ns::Namespace};

/// A client on one connection.
pub type Client = Grpc<Channel>;

/// A connection.
#[derive(Debug)]
pub struct Channel(http2::SendRequest<Body>);

impl GrpcService<Body> for Channel {
    type ResponseBody = Incoming;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, hyper::Result<Response<Incoming>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.send_request(request).boxed()
    }
}

/// Connects over TLS from one of a namespace's addresses to the service `host`.
pub async fn connect(
    from: (&Namespace, IpAddr),
    to: SocketAddr,
    host: &str,
    config: &Arc<ClientConfig>,
) -> Result<Client> {
    let stream = client::connect(from, to)?;
    stream.set_nonblocking(true)?;
    let name = ServerName::try_from(host.to_owned())?;
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = connector.connect(name, TcpStream::from_std(stream)?).await?;
    let io = TokioIo::new(stream);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    let origin = Uri::try_from(format!("https://{host}"))?;
    Ok(Grpc::with_origin(Channel(sender), origin))
}
