//! What cannot be undone: the predecessor lets go, and from then on only serves what is
//! open and reports it.

use std::{
    io::{self, ErrorKind},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    door::Successor,
    frame::Frame,
    name::Named,
    report::{Report, Served},
    request::Request,
    wire::Wire,
};
use crate::{
    daemon::{inbox::Message, succession::Left, upkeep::have_ended},
    flow::Now,
};

/// How long a successor may take to hear what it has to.
const TELLING: Duration = Duration::from_secs(30);

/// The successor has everything. It is told what ends.
pub(in crate::daemon) struct Given {
    /// Cancelled when the successor has ended before all was reported.
    pub(in crate::daemon) abandoned: CancellationToken,
    forwarding: thread::JoinHandle<io::Result<()>>,
}

/// Tells the successor that everything is its own, then hands on what is reported until
/// [`Message::Finish`]. Nothing of this process may be open any more but its sessions.
pub(in crate::daemon) async fn give(Successor(wire): Successor, left: Left) -> Result<Given> {
    let Left { unreported, inbox } = left;
    let told = async {
        wire.send_flows(Frame::Expected, unreported.expected).await?;
        wire.send_flows(Frame::Past, unreported.past.flows).await?;
        for refused in unreported.past.refused {
            wire.send(&Frame::RefusedByNumber(refused.into()), &[]).await?;
        }
        wire.send(&Frame::Yours, &[]).await
    };
    let told = timeout(TELLING, told).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
    told.context("the successor cannot be told")?;
    let (wire, abandoned) = (Arc::new(wire), CancellationToken::new());
    tokio::spawn(watch(Arc::clone(&wire), abandoned.clone()));
    let (runtime, broken) = (Handle::current(), abandoned.clone());
    let forward = move || {
        let reports = unreported.reports.into_iter().map(|report| Message::Ended(Box::new(report)));
        let forwarded = forward(reports, &inbox, &wire, &runtime);
        if forwarded.is_err() {
            broken.cancel();
        }
        forwarded
    };
    let forwarding = thread::Builder::new()
        .name("handover".into())
        .spawn(forward)
        .context("a thread cannot be started")?;
    Ok(Given { abandoned, forwarding })
}

impl Given {
    /// Waits until the successor knows all.
    ///
    /// # Errors
    /// It has ended before, or does not listen.
    pub(in crate::daemon) async fn end(self) -> io::Result<()> {
        if !have_ended(std::slice::from_ref(&self.forwarding), TELLING).await {
            return Err(ErrorKind::TimedOut.into());
        }
        // A panic has been printed.
        self.forwarding.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")))
    }
}

/// The successor says nothing any more: what is received is its end.
async fn watch(wire: Arc<Wire>, abandoned: CancellationToken) {
    while wire.receive().await.is_ok() {}
    abandoned.cancel();
}

fn forward(
    first: impl Iterator<Item = Message>,
    inbox: &mpsc::Receiver<Message>,
    wire: &Wire,
    runtime: &Handle,
) -> io::Result<()> {
    for message in first.chain(inbox) {
        let sent = async {
            match message {
                Message::Ended(report) => {
                    let report = Report::of(&report, &Now::read());
                    wire.send(&Frame::Report(Box::new(report)), &[]).await
                }
                Message::Opened(flow) | Message::OpenedElsewhere(flow) => {
                    wire.send_flows(Frame::Expected, [flow]).await
                }
                Message::Request(draft) => match Request::of(&draft) {
                    Some(request) => wire.send(&Frame::Request(request), &[]).await,
                    None => Ok(()),
                },
                Message::Lost(flows) => wire.send_flows(Frame::Lost, flows).await,
                Message::Refused(service, reason, attempts) => {
                    let (service, reason) = (Served::of(&service), Named(reason));
                    wire.send(&Frame::Refused { service, reason, attempts }, &[]).await
                }
                Message::Finish(_) => return Ok(true),
                // Of what this process does not have any more.
                _ => Ok(()),
            }?;
            io::Result::Ok(false)
        };
        if runtime.block_on(sent)? {
            return runtime.block_on(wire.send(&Frame::Done, &[]));
        }
    }
    Ok(())
}
