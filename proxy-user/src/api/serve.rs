//! Accepts connections and serves them, within bounds.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::{Router, response::Response, serve::Listener};
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Backend, Bound, Who, app::App, dashboard::Dashboard, peer::Peer, routes};

/// A request's head must be there within this, also the next one of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest head of a request, bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Connections at a time over TCP; others wait to be accepted.
const MAX_REMOTE: usize = 64;
/// Connections at a time over the control socket. TCP cannot take its places.
const MAX_LOCAL: usize = 32;
/// Connections at a time, a file each.
pub const MOST_CONNECTIONS: usize = MAX_REMOTE + MAX_LOCAL;
/// What is being answered at a shutdown may take so long.
const GRACE: Duration = Duration::from_secs(5);

/// What was being answered at a shutdown.
#[must_use = "answers are to be waited for"]
pub struct Answering(TaskTracker);

impl Answering {
    /// Waits until everything is answered, five seconds at most.
    pub async fn end(self) {
        self.0.wait().await;
    }
}

/// Serves until `shutdown`. When this returns, both listeners are closed.
pub async fn serve(
    backend: Arc<dyn Backend>,
    bound: Bound,
    shutdown: CancellationToken,
) -> Answering {
    let Bound { tcp, mut control, gate, .. } = bound;
    let dashboard = Arc::new(Dashboard::default());
    let router = routes::router(App { backend, gate, dashboard, shutdown: shutdown.clone() });
    let server = Server { router, shutdown, connections: TaskTracker::new() };
    tokio::join!(
        server.accept(Tcp(tcp), MAX_REMOTE),
        server.accept(Control(&mut control.listener), MAX_LOCAL),
    );
    drop(control);
    server.connections.close();
    Answering(server.connections)
}

struct Server {
    router: Router,
    shutdown: CancellationToken,
    connections: TaskTracker,
}

impl Server {
    async fn accept<L: Accept>(&self, mut listener: L, places: usize) {
        let places = Arc::new(Semaphore::new(places));
        let accepting = async {
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                let (io, peer) = listener.accept().await;
                let connection = connection(io, peer, self.router.clone(), self.shutdown.clone());
                self.connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
        };
        self.shutdown.run_until_cancelled(accepting).await;
    }
}

/// Serves one connection to its end.
async fn connection<I>(io: I, peer: Peer, router: Router, shutdown: CancellationToken)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| answer(router.clone(), peer, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    // A client that breaks off is no event of ours.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(GRACE, connection).await;
        }
    }
}

async fn answer(
    router: Router,
    peer: Peer,
    mut request: Request<Incoming>,
) -> Result<Response, Infallible> {
    request.extensions_mut().insert(peer);
    TowerToHyperService::new(router).call(request).await
}

/// A listener whose connections say who is there.
trait Accept: Send {
    type Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static;

    /// The next connection; errors are waited out.
    fn accept(&mut self) -> impl Future<Output = (Self::Io, Peer)> + Send;
}

struct Tcp(TcpListener);

impl Accept for Tcp {
    type Io = TcpStream;

    async fn accept(&mut self) -> (TcpStream, Peer) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (stream, Peer::Remote(address.ip().to_canonical()))
    }
}

struct Control<'a>(&'a mut UnixListener);

impl Accept for Control<'_> {
    type Io = UnixStream;

    async fn accept(&mut self) -> (UnixStream, Peer) {
        loop {
            let (stream, _) = Listener::accept(self.0).await;
            match stream.peer_cred() {
                Ok(peer) => {
                    let who = Who { uid: peer.uid(), pid: peer.pid() };
                    return (stream, Peer::Local(who));
                }
                Err(error) => tracing::warn!(%error, "a client of the control socket is unknown"),
            }
        }
    }
}
