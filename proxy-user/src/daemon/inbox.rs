//! What the engine is told, and where.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, mpsc},
};

use proxy_common::{
    address::FlowKey, flow::FlowState, nat::TargetSlot, outcome::Outcome as PacketOutcome,
    reason::Reason, tables::ServiceSlot,
};

use super::succession::Noted;
use crate::{
    config::Service,
    datapath::Denials,
    flow::{Ended, Now, Opened, RequestCounts, Requests, ServiceInfo, TrackerStats},
    policy::Policy,
    record::{Draft, FlowId},
    relay::Journal,
};

/// What the engine is told.
pub(super) enum Message {
    /// By the relay: a session of this 5-tuple.
    Opened(FlowKey),
    /// By the process before: a session that it serves to its end.
    OpenedElsewhere(FlowKey),
    /// By the relay.
    Ended(Box<Ended>),
    /// By the HTTP layer: a request is over.
    Request(Box<Draft>),
    /// By the relay: so many clients' datagrams were turned away.
    Refused(Arc<Service>, Reason, u64),
    /// By the writer: records of these flows are safe.
    Settled(Vec<FlowId>),
    /// By the writer: the store could be opened after the start.
    Inherited(Noted),
    /// A generation is in force.
    Services(Services),
    /// The targets of the kernel plane, before clients are sent to them.
    Targets(Vec<(TargetSlot, SocketAddr)>),
    /// Names of interfaces, by index.
    Interfaces(BTreeMap<u32, String>),
    /// Show what there is.
    Show(tokio::sync::oneshot::Sender<Snapshot>),
    /// Of these connections no report comes any more: who served them has ended.
    Lost(Vec<FlowKey>),
    /// The relay receives no datagram any more, and what its sockets hold is the next
    /// daemon's.
    LeaveUnread,
    /// End the kernel plane's flows that are at rest, or `all`.
    DrainForwarded { all: bool },
    /// Leave everything to another process, and end.
    HandOver,
    /// Record what is open and end.
    Finish(Queues),
}

/// What becomes of the queues of listeners, and of who waits in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queues {
    /// They are gone.
    Closed,
    /// They outlive the daemon: the next one accepts, and records.
    Kept,
}

/// What changes with a generation.
pub(super) struct Services {
    pub(super) in_force: Vec<(ServiceSlot, ServiceInfo)>,
    /// Every slot that has counters.
    pub(super) slots: Vec<ServiceSlot>,
    pub(super) deny_records_per_second: u32,
    pub(super) policy: Arc<Policy>,
}

/// What the engine sees.
pub(super) struct Snapshot {
    pub(super) flows: Vec<(FlowKey, FlowState)>,
    pub(super) denials: Vec<Denials>,
    pub(super) outcomes: Vec<(PacketOutcome, u64)>,
    pub(super) tracker: TrackerStats,
    /// Flows recorded since the start, by service.
    pub(super) recorded: BTreeMap<ServiceSlot, u64>,
    /// Requests since the start, by service.
    pub(super) requests: BTreeMap<String, RequestCounts>,
    /// Denied packets that were not answered because there were too many.
    pub(super) resets_suppressed: u64,
    pub(super) now: Now,
}

/// The entrance to the engine.
#[derive(Clone)]
pub(super) struct Inbox(mpsc::Sender<Message>);

impl Inbox {
    pub(super) fn channel() -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), receiver)
    }

    /// Tells the engine; one that has ended needs no telling.
    pub(super) fn tell(&self, message: Message) {
        let _ = self.0.send(message);
    }
}

/// The relay's reports wait in the inbox, at most one for each connection that the
/// relay accepted: accepting pauses while the writer is behind.
impl Journal for Inbox {
    fn opened(&self, session: &Opened) {
        self.tell(Message::Opened(session.flow));
    }

    fn ended(&self, session: Ended) {
        self.tell(Message::Ended(Box::new(session)));
    }

    fn refused(&self, service: &Arc<Service>, reason: Reason, attempts: u64) {
        self.tell(Message::Refused(Arc::clone(service), reason, attempts));
    }
}

/// As with the relay's reports, nothing bounds the inbox but that requests are taken no
/// more while the writer is behind.
impl Requests for Inbox {
    fn ended(&self, draft: Box<Draft>) {
        self.tell(Message::Request(draft));
    }
}
