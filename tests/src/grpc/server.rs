//! The server.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result};
use hyper::{Request, Response, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::{io::AsyncRead, io::AsyncWrite, runtime, sync::oneshot};
use tokio_rustls::TlsAcceptor;
use tonic::{Status, body::Body, server::Grpc};

use super::{
    codec::Raw,
    service::{Chat, Count, Say, Wait},
};
use crate::ns::Namespace;

/// It ends on drop.
#[derive(Debug)]
pub struct Server {
    _running: oneshot::Sender<()>,
}

impl Server {
    /// Listens in a namespace, with TLS or without.
    pub fn start(
        namespace: &Namespace,
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
    ) -> Result<Self> {
        let listener = namespace
            .within(|| TcpListener::bind(address))?
            .with_context(|| format!("listening on {address}"))?;
        listener.set_nonblocking(true)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (running, ended) = oneshot::channel::<()>();
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = ended => Ok(()),
                    accepted = accept(listener, tls) => accepted,
                }
            })
        });
        Ok(Self { _running: running })
    }
}

async fn accept(listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let tls = tls.clone().map(TlsAcceptor::from);
        tokio::spawn(async move {
            match tls {
                None => serve(stream).await,
                Some(tls) => serve(tls.accept(stream).await?).await,
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<()> {
    let builder = http2::Builder::new(TokioExecutor::new());
    Ok(builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await?)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let mut grpc = Grpc::new(Raw);
    Ok(match request.uri().path() {
        "/test.Echo/Say" => grpc.unary(Say, request).await,
        "/test.Echo/Wait" => grpc.unary(Wait, request).await,
        "/test.Echo/Count" => grpc.server_streaming(Count, request).await,
        "/test.Echo/Chat" => grpc.streaming(Chat, request).await,
        _ => Status::unimplemented("no such method").into_http(),
    })
}
