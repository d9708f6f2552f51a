//! What one engine leaves to the next.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    sync::mpsc,
};

use proxy_common::{address::FlowKey, flow::FlowState};

use super::inbox::Message;
use crate::{
    datapath::queued,
    flow::{UdpPast, Unreported},
    record::{CounterId, FlowId},
    store::{Store, StoreError},
};

/// What of the relayed connections that a daemon before had is still to be reported.
#[derive(Default)]
pub(super) enum Standing {
    /// Nothing: they ended with it.
    #[default]
    Over,
    /// Those that wait in the queues of listeners.
    Queued(Queue),
    /// Those that the daemon before serves to their end, and those that wait.
    Served(Bequest),
}

/// What another process tells as it lets go.
#[derive(Default)]
pub(super) struct Bequest {
    /// Connections that it serves to their end, each as often as it is.
    pub(super) expected: Vec<FlowKey>,
    /// What it recorded of UDP.
    pub(super) past: UdpPast,
}

impl Standing {
    /// What another process told.
    pub(super) fn take_bequest(&mut self) -> Bequest {
        match self {
            Self::Served(bequest) => std::mem::take(bequest),
            Self::Over | Self::Queued(_) => Bequest::default(),
        }
    }

    /// Whether a report of the connection is still to come.
    pub(super) fn reported(&self, flow: &FlowKey, state: &FlowState) -> bool {
        match self {
            Self::Over => false,
            Self::Queued(queue) => queue.holds(flow, state),
            Self::Served(_) => true,
        }
    }
}

/// Who stands in the queues of listeners that outlive a daemon, from the first question
/// on: nobody accepts by then, and who leaves does not come back.
#[derive(Default)]
pub(super) struct Queue(OnceCell<BTreeSet<FlowKey>>);

impl Queue {
    /// Whether a relayed connection may stand there.
    pub(super) fn holds(&self, flow: &FlowKey, state: &FlowState) -> bool {
        // Who has reset it waits on: it is accepted, but the kernel shows it no more.
        let unheard = FlowState::ENDED | FlowState::CLIENT_RESET;
        state.has(unheard) && state.down.payload() == 0 || self.known().contains(flow)
    }

    fn known(&self) -> &BTreeSet<FlowKey> {
        self.0.get_or_init(|| {
            queued().unwrap_or_else(|error| {
                tracing::error!(%error, "connections that wait may be recorded twice");
                BTreeSet::new()
            })
        })
    }
}

/// What an engine that has handed over leaves.
pub(super) struct Left {
    /// What it knew of relayed connections.
    pub(super) unreported: Unreported,
    /// Where the relay goes on to report.
    pub(super) inbox: mpsc::Receiver<Message>,
}

/// What a daemon before left behind in the store.
pub(super) struct Noted {
    pub(super) accounted: BTreeMap<CounterId, u64>,
    pub(super) committed: BTreeSet<FlowId>,
}

impl Noted {
    /// What the store has of the maps of that epoch.
    pub(super) fn read(store: &Store, epoch: u64) -> Result<Self, StoreError> {
        Ok(Self { accounted: store.accounted(epoch)?, committed: store.committed_flows()? })
    }
}
