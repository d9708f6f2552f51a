//! What can be undone: accepting pauses, and the successor gets the listeners.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use tokio::{sync::MutexGuard, time::timeout};

use super::{
    door::{Successor, unexpected},
    frame::{Frame, Purpose, Socket},
    wire::MOST_FILES,
};
use crate::{
    daemon::{
        core::{Changes, Core},
        phase::Phase,
    },
    relay::{Intake, Transport},
};

/// How long the successor may take to bind what is missing. Clients wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// A successor that has all the listeners. Nobody accepts, and nothing is published.
pub(in crate::daemon) struct Offered<'a> {
    pub(in crate::daemon) successor: Successor,
    pub(in crate::daemon) changes: MutexGuard<'a, Changes>,
}

/// Pauses accepting and gives the listeners to the successor: `api` is what the API
/// listens on. Where that one fails, this process goes on, and says so.
pub(in crate::daemon) async fn offer<'a>(
    core: &'a Core,
    api: BorrowedFd<'_>,
    successor: Successor,
) -> Option<Offered<'a>> {
    let process = successor.process();
    tracing::info!(process, "it takes over");
    let changes = core.changes.lock().await;
    core.enter(Phase::HandingOver);
    core.relay.rest().await;
    core.relay.set_intake(Intake::Pause);
    // A connection that is accepted just now is still ours.
    core.relay.settle().await;
    let shown = timeout(PATIENCE, show(core, api, &successor)).await;
    let error = match shown.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(()) => return Some(Offered { successor, changes }),
        Err(error) => error,
    };
    core.enter(Phase::Running);
    core.relay.set_intake(core.intake());
    tracing::error!(process, %error, "it did not take over: this process goes on");
    core.note("handover", "weir", &format!("process {process} did not take over: {error}"));
    None
}

async fn show(core: &Core, api: BorrowedFd<'_>, successor: &Successor) -> io::Result<()> {
    let listeners = core.relay.descriptors().await;
    let relayed = listeners.iter().map(|listener| {
        let (transport, address) = listener.place();
        let purpose = match transport {
            Transport::Tcp => Purpose::Streams,
            Transport::Udp => Purpose::Datagrams,
        };
        (Socket { purpose, address }, listener.as_fd())
    });
    let address = core.config.load().api.listen;
    let sockets: Vec<_> =
        relayed.chain([(Socket { purpose: Purpose::Api, address }, api)]).collect();
    for part in sockets.chunks(MOST_FILES) {
        let (sockets, files): (Vec<Socket>, Vec<BorrowedFd<'_>>) = part.iter().copied().unzip();
        successor.0.send(&Frame::Sockets(sockets), &files).await?;
    }
    successor.0.send(&Frame::Offered, &[]).await?;
    match successor.0.receive().await? {
        (Frame::Ready, _) => Ok(()),
        _ => Err(unexpected()),
    }
}
