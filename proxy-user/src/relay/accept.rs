//! The accept loop of one listening socket.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::watch,
    task::yield_now,
    time::{Duration, sleep},
};
use tracing::{info, warn};

use super::{
    front::Front,
    intake::Intake,
    receive::{Ends, Shared, receive},
    socket,
    workers::Home,
};

const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts until aborted. `front` leads connections to services; a reload may change it.
pub(super) async fn accept(
    listener: Arc<AsyncFd<TcpListener>>,
    home: Home,
    front: Arc<Front>,
    shared: Arc<Shared>,
) {
    let mut intake = shared.intake.subscribe();
    let mut pause = Pause::default();
    loop {
        match next(&listener, &mut intake).await {
            Ok((client, peer)) => {
                pause.over();
                if let Ok(service) = client.local_addr() {
                    receive(client, Ends { peer, service, home }, &front, &shared);
                }
                // Who is served already comes before the next who wants to be: a burst
                // of connections is no pause for the others.
                yield_now().await;
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => pause.take(&listener, &error).await,
        }
    }
}

/// The next connection, once connections are wanted.
async fn next(
    listener: &AsyncFd<TcpListener>,
    intake: &mut watch::Receiver<Intake>,
) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        // The sender outlives the loop, so waiting for it does not fail.
        let _ = intake.wait_for(|intake| intake.takes()).await;
        tokio::select! {
            // What arrives from here on is for the policy to come.
            biased;
            _ = intake.wait_for(|intake| !intake.takes()) => {}
            accepted = listener.async_io(Interest::READABLE, socket::accept) => return accepted,
        }
    }
}

/// Whether the next connection may well be accepted: see accept(2) on errors that
/// were already pending on the new socket.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::EPROTO
                | libc::EPERM
                | libc::EINTR
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ENOPROTOOPT
                | libc::ENONET
                | libc::EOPNOTSUPP
        )
    )
}

/// Waits ever longer while files or memory run short, and says so once.
#[derive(Default)]
struct Pause(Option<Duration>);

impl Pause {
    async fn take(&mut self, listener: &AsyncFd<TcpListener>, error: &io::Error) {
        if self.0.is_none() {
            let address = listener.get_ref().local_addr().ok();
            warn!(?address, %error, "cannot accept connections, trying again");
        }
        let pause = self.0.map_or(SHORTEST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.0 = Some(pause);
        sleep(pause).await;
    }

    fn over(&mut self) {
        if self.0.take().is_some() {
            info!("connections are accepted again");
        }
    }
}
