//! The API, running.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::http::{Request, Response, request::Builder};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use tempfile::TempDir;
use tokio::{
    net::{TcpStream, UnixStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    backend::{Memory, READ},
    client::{Answer, DEADLINE, send, whole},
    samples,
};
use crate::{
    api::{Bound, Gate, serve},
    config::Config,
};

/// A running API; it ends with this.
pub(super) struct Server {
    pub(super) memory: Arc<Memory>,
    pub(super) address: SocketAddr,
    pub(super) control: PathBuf,
    pub(super) gate: Arc<Gate>,
    pub(super) config: Config,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
    _directory: TempDir,
}

impl Server {
    pub(super) fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let config = samples::config(directory.path());
        let bound = Bound::bind(&config).unwrap();
        let (address, control) = (bound.address(), bound.control_path().to_owned());
        let gate = bound.gate();
        let (memory, shutdown) = (Arc::new(Memory::new()), CancellationToken::new());
        let serving = serve(Arc::clone(&memory) as _, bound, shutdown.clone());
        let serving = tokio::spawn(async move { serving.await.end().await });
        Self { memory, address, control, gate, config, shutdown, serving, _directory: directory }
    }

    /// `GET` over TCP with the token that reads everything.
    pub(super) async fn get(&self, target: &str) -> Answer {
        whole(self.open(target, &[]).await).await
    }

    /// The same, with more headers and the body still to come.
    pub(super) async fn open(&self, target: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        let mut request = self.request("GET", target).header("authorization", bearer(READ));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.remote(request, "").await
    }

    /// A request over TCP without a token.
    pub(super) fn request(&self, method: &str, target: &str) -> Builder {
        Request::builder().method(method).uri(target).header("host", self.address.to_string())
    }

    pub(super) async fn remote(&self, request: Builder, body: &str) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        send(stream, request.body(content(body)).unwrap()).await
    }

    /// A request over the control socket.
    pub(super) async fn local(&self, method: &str, target: &str, body: &str) -> Answer {
        let stream = UnixStream::connect(&self.control).await.unwrap();
        let request = Request::builder().method(method).uri(target).header("host", "weir");
        whole(send(stream, request.body(content(body)).unwrap()).await).await
    }

    /// Stops it, and waits until it has stopped.
    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        timeout(DEADLINE, self.serving).await.unwrap().unwrap();
    }

    /// Asks it to stop.
    pub(super) fn cancel(&self) {
        self.shutdown.cancel();
    }
}

pub(super) fn bearer(secret: &str) -> String {
    format!("Bearer {secret}")
}

fn content(body: &str) -> Full<Bytes> {
    Full::new(Bytes::copy_from_slice(body.as_bytes()))
}
