//! First datagrams that came while no session may begin.

use std::{collections::VecDeque, iter, mem, sync::Arc};

use tokio::time::Instant;

use super::{
    batch::Train,
    listener::{Common, Peers},
};

/// More are dropped, as a full socket would.
const MOST: usize = 1024;

/// Datagrams that wait for a policy, or for the store. Those of open sessions do not.
pub(super) struct Aside {
    common: Arc<Common>,
    queue: VecDeque<First>,
}

/// One of them.
pub(super) struct First {
    pub(super) peers: Peers,
    pub(super) datagram: Box<[u8]>,
    pub(super) came: Instant,
}

impl First {
    pub(super) fn train(&self) -> impl Iterator<Item = Train<'_>> + Clone {
        iter::once(Train::of_one(&self.datagram))
    }
}

impl Aside {
    pub(super) fn new(common: Arc<Common>) -> Self {
        Self { common, queue: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn push<'a>(
        &mut self,
        peers: Peers,
        trains: impl Iterator<Item = Train<'a>>,
        came: Instant,
    ) {
        for datagram in trains.flat_map(Train::datagrams) {
            if self.queue.len() < MOST && self.common.hold(datagram.len()) {
                self.queue.push_back(First { peers, datagram: datagram.into(), came });
            }
        }
    }

    /// All of them, in their order.
    pub(super) fn take(&mut self) -> VecDeque<First> {
        let queue = mem::take(&mut self.queue);
        self.common.let_go(queue.iter().map(|first| first.datagram.len()).sum());
        queue
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.take();
    }
}
