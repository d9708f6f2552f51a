//! The successor's side.

use std::{collections::BTreeMap, io, net::TcpListener, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use proxy_common::address::FlowKey;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    door::{Door, unexpected},
    frame::{Estate, Frame, Purpose, VERSION},
    name::Named,
    wire::Wire,
};
use crate::{
    config::Config,
    daemon::{
        inbox::{Inbox, Message},
        succession::Bequest,
    },
    datapath::Pins,
    flow::{FlowPast, Now, UdpPast},
    relay::Inherited,
};

/// How long the predecessor may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long it may take to write what it has to, and to let go.
const LETTING_GO: Duration = Duration::from_mins(1);

/// The process that runs by this configuration.
pub(in crate::daemon) struct Predecessor {
    pub(super) wire: Wire,
    /// Whether it has programs and maps.
    pub(super) has_kernel: bool,
}

/// Its listening sockets.
pub(in crate::daemon) struct Sockets {
    /// Of relayed services.
    pub(in crate::daemon) relayed: Inherited,
    /// The API's.
    pub(in crate::daemon) api: Option<TcpListener>,
}

/// What it leaves: connections that it serves to their end.
pub(in crate::daemon) struct Legacy {
    pub(super) wire: Wire,
    /// Connections of which a report is to come.
    pub(super) expected: Vec<FlowKey>,
    pub(super) past: UdpPast,
}

/// Finds the process that runs by this configuration, if one does. It is asked for
/// nothing yet.
///
/// # Errors
/// It cannot hand over to this one.
pub(in crate::daemon) async fn find(config: &Config) -> Result<Option<Predecessor>> {
    let path = Door::path(&config.runtime_dir);
    let connected = Wire::connect(&path).with_context(|| path.display().to_string())?;
    let Some(wire) = connected else { return Ok(None) };
    let mut predecessor = Predecessor { wire, has_kernel: false };
    let met = predecessor.meet(config).await;
    met.with_context(|| format!("process {} does not hand over", predecessor.process()))?;
    Ok(Some(predecessor))
}

impl Predecessor {
    /// Its number.
    pub(in crate::daemon) fn process(&self) -> i32 {
        self.wire.peer
    }

    /// Whether it has programs and maps.
    pub(in crate::daemon) fn has_kernel(&self) -> bool {
        self.has_kernel
    }

    async fn meet(&mut self, config: &Config) -> Result<()> {
        let hello = Frame::Hello { version: VERSION, estate: None };
        self.wire.send(&hello, &[]).await?;
        let (Frame::Hello { version, estate }, _) = self.answer(ANSWER).await? else {
            bail!(unexpected());
        };
        ensure!(
            version == VERSION,
            "its handover has version {version}, that of this one {VERSION}: it has to be stopped \
             first"
        );
        let theirs = estate.ok_or_else(unexpected)?;
        let maps = Pins::locate(&config.kernel.bpffs)?.maps();
        let own = Estate::new(theirs.maps.as_ref().map(|_| maps), &config.data_dir);
        self.has_kernel = theirs.maps.is_some();
        theirs.must_be(&own)
    }

    /// Has it accept no more, and gives its listening sockets. Where this process ends
    /// from here on without [`Self::succeed`], that one goes on.
    pub(in crate::daemon) async fn take(&self) -> Result<Sockets> {
        self.wire.send(&Frame::Take, &[]).await?;
        let mut sockets = Sockets { relayed: Inherited::default(), api: None };
        loop {
            let (told, files) = match self.answer(ANSWER).await? {
                (Frame::Sockets(told), files) if told.len() == files.len() => (told, files),
                (Frame::Offered, _) => return Ok(sockets),
                _ => bail!(unexpected()),
            };
            for (socket, file) in told.iter().zip(files) {
                match socket.purpose {
                    Purpose::Streams => sockets.relayed.add_stream(file.into()),
                    Purpose::Datagrams => sockets.relayed.add_datagrams(file.into()),
                    // What it is told to listen on may be new, and its socket is not.
                    Purpose::Api => sockets.api = Some(TcpListener::from(file)),
                }
            }
        }
    }

    /// Has it let go of everything. Nothing can be undone from here on.
    pub(in crate::daemon) async fn succeed(self) -> Result<Legacy> {
        self.wire.send(&Frame::Ready, &[]).await?;
        let (mut expected, mut past) = (Vec::new(), UdpPast::default());
        loop {
            match self.answer(LETTING_GO).await? {
                (Frame::Expected(flows), _) => {
                    expected.extend(flows.into_iter().map(FlowKey::from));
                }
                (Frame::Past(flows), _) => {
                    past.flows.extend(flows.into_iter().map(FlowPast::from));
                }
                (Frame::RefusedByNumber(refused), _) => past.refused.push(refused.into()),
                (Frame::Yours, _) => return Ok(Legacy { wire: self.wire, expected, past }),
                _ => bail!(unexpected()),
            }
        }
    }

    async fn answer(&self, limit: Duration) -> Result<(Frame, Vec<std::os::fd::OwnedFd>)> {
        let answer = timeout(limit, self.wire.receive()).await;
        answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).context("no answer")
    }
}

impl Legacy {
    /// The process that left it.
    pub(in crate::daemon) fn process(&self) -> i32 {
        self.wire.peer
    }

    /// What the tracker has to know from the first.
    pub(in crate::daemon) fn bequest(&mut self) -> Bequest {
        Bequest { expected: self.expected.clone(), past: std::mem::take(&mut self.past) }
    }

    /// Hands reports on until all have come, the process has ended, or `stop`: then none
    /// comes any more, and the process resets what it still serves.
    pub(in crate::daemon) async fn follow(self, inbox: Inbox, stop: CancellationToken) {
        let mut owed = BTreeMap::<FlowKey, usize>::new();
        for flow in &self.expected {
            *owed.entry(*flow).or_default() += 1;
        }
        let process = self.process();
        let followed = stop.run_until_cancelled(self.hand_on(&inbox, &mut owed)).await;
        let lost: Vec<FlowKey> =
            owed.into_iter().flat_map(|(flow, times)| std::iter::repeat_n(flow, times)).collect();
        match followed {
            Some(Ok(())) => tracing::info!(process, "the process before has ended"),
            Some(Err(error)) => {
                tracing::error!(process, %error, lost = lost.len(), "the process before is gone");
            }
            None => tracing::warn!(process, lost = lost.len(), "the process before is cut off"),
        }
        inbox.tell(Message::Lost(lost));
    }

    async fn hand_on(&self, inbox: &Inbox, owed: &mut BTreeMap<FlowKey, usize>) -> io::Result<()> {
        let settle = |owed: &mut BTreeMap<FlowKey, usize>, flow: &FlowKey| {
            if let Some(times) = owed.get_mut(flow) {
                *times = times.saturating_sub(1);
            }
        };
        loop {
            match self.wire.receive().await?.0 {
                Frame::Expected(flows) => {
                    for flow in flows.into_iter().map(FlowKey::from) {
                        *owed.entry(flow).or_default() += 1;
                        inbox.tell(Message::OpenedElsewhere(flow));
                    }
                }
                Frame::Report(report) => {
                    let ended = report.read(&Now::read());
                    settle(owed, &ended.flow);
                    inbox.tell(Message::Ended(Box::new(ended)));
                }
                Frame::Request(request) => {
                    let draft = request.read().ok_or_else(unexpected)?;
                    inbox.tell(Message::Request(Box::new(draft)));
                }
                Frame::Lost(flows) => {
                    let flows: Vec<FlowKey> = flows.into_iter().map(FlowKey::from).collect();
                    for flow in &flows {
                        settle(owed, flow);
                    }
                    inbox.tell(Message::Lost(flows));
                }
                Frame::Refused { service, reason: Named(reason), attempts } => {
                    // This process may not have the service any more.
                    let service = Arc::new(service.read());
                    inbox.tell(Message::Refused(service, reason, attempts));
                }
                Frame::Done => return Ok(()),
                _ => return Err(unexpected()),
            }
        }
    }
}
