//! The way from a client to its target: what the task that receives for the listening
//! socket and the session's own task share.

use std::{
    collections::VecDeque,
    io, mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    batch::{Arena, Train},
    bundles::{Bundles, Passed},
    listener::{Common, Listener, Peers},
    upstream::Upstream,
};
use crate::relay::{
    Bytes,
    control::{Control, Cut},
    stats::Counters,
};

/// Datagrams of a session that wait for its target's address, and their payload in bytes.
const MOST_WAITING: (usize, usize) = (32, 64 << 10);

/// A session's way up. Datagrams are passed on by the task that receives them; once it is
/// closed they are not, and what it counted is final.
pub(super) struct Uplink {
    pub(super) peers: Peers,
    control: Arc<Control>,
    counters: Arc<Counters>,
    listener: ArcSwap<Listener>,
    state: Mutex<State>,
    /// The state has a refusal.
    is_refused: AtomicBool,
}

struct State {
    phase: Phase,
    count: Count,
    bundles: Bundles,
    /// When payload last came.
    last: Instant,
    /// What the target's host said.
    refusal: Option<io::Error>,
}

enum Phase {
    /// For the target's address.
    Waiting(Waiting),
    Open(Arc<Upstream>),
    /// Nothing is passed on any more.
    Deaf,
    /// The session is over: who comes now begins another.
    Closed,
}

/// What came from the client.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    /// Payload that was passed on.
    pub(super) bytes: u64,
    /// Datagrams that were.
    pub(super) datagrams: u64,
    /// Datagrams that were not.
    pub(super) undelivered: u64,
}

impl Uplink {
    pub(super) fn new(
        peers: Peers,
        listener: Arc<Listener>,
        control: Arc<Control>,
        counters: Arc<Counters>,
    ) -> Self {
        let state = State {
            phase: Phase::Waiting(Waiting::new(&listener)),
            count: Count::default(),
            bundles: Bundles::default(),
            last: Instant::now(),
            refusal: None,
        };
        Self {
            peers,
            control,
            counters,
            listener: ArcSwap::new(listener),
            state: Mutex::new(state),
            is_refused: AtomicBool::new(false),
        }
    }

    /// Passes on what came from the client at `now`. `room` is for a bundle. False:
    /// the session is over.
    pub(super) fn forward<'a>(
        &self,
        trains: impl Iterator<Item = Train<'a>> + Clone,
        room: &mut [u8],
        now: Instant,
    ) -> bool {
        let mut state = self.state.lock();
        if trains.clone().any(|train| !train.bytes().is_empty()) {
            state.last = now;
        }
        let State { phase, bundles, count, .. } = &mut *state;
        let passed = match phase {
            Phase::Open(upstream) => bundles.pass(trains, room, &**upstream),
            Phase::Waiting(waiting) => {
                let lost = trains.flat_map(Train::datagrams).filter(|one| !waiting.push(one));
                count.undelivered += lost.count() as u64;
                return true;
            }
            Phase::Deaf => {
                count.undelivered += trains.flat_map(Train::datagrams).count() as u64;
                return true;
            }
            Phase::Closed => return false,
        };
        state.took(&passed);
        self.counters.add(Bytes { up: passed.bytes, down: 0 });
        if let Some(error) = passed.refused {
            state.phase = Phase::Deaf;
            state.refusal = Some(error);
            self.is_refused.store(true, Relaxed);
            drop(state);
            self.control.nudge();
        }
        true
    }

    /// Sends what has waited, and has all that comes sent at once from now on.
    pub(super) fn open(&self, upstream: &Arc<Upstream>) {
        let mut state = self.state.lock();
        let State { phase, bundles, .. } = &mut *state;
        let Phase::Waiting(waiting) = phase else { return };
        let waiting = waiting.trains();
        let passed = Arena::lend(|arena| bundles.pass(waiting, arena.stage(), &**upstream));
        state.took(&passed);
        state.phase = Phase::Open(Arc::clone(upstream));
        self.counters.add(Bytes { up: passed.bytes, down: 0 });
        self.is_refused.store(passed.refused.is_some(), Relaxed);
        state.refusal = passed.refused;
    }

    /// Whether the session is over.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Closed)
    }

    /// What the target's host said, where it was heard in sending.
    pub(super) fn take_refusal(&self) -> Option<io::Error> {
        // Mostly there is none, and the lock is another task's.
        if !self.is_refused.load(Relaxed) {
            return None;
        }
        self.state.lock().refusal.take()
    }

    /// Has what comes wait for another target's address.
    pub(super) fn wait(&self) {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Closed) {
            state.phase = Phase::Waiting(Waiting::new(&self.listener()));
            // By that target's path.
            state.bundles = Bundles::default();
        }
    }

    /// Drops from now on what comes.
    pub(super) fn deafen(&self) {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Closed) {
            state.phase = Phase::Deaf;
        }
    }

    /// When payload last came.
    pub(super) fn last(&self) -> Instant {
        self.state.lock().last
    }

    /// Closes it if no payload came after `last`.
    pub(super) fn close_if_silent_since(&self, last: Instant) -> bool {
        let mut state = self.state.lock();
        let silent = state.last <= last;
        if silent {
            state.phase = Phase::Closed;
        }
        silent
    }

    /// Closes it. What it counted changes no more.
    pub(super) fn close(&self) -> Count {
        let mut state = self.state.lock();
        let phase = mem::replace(&mut state.phase, Phase::Closed);
        let count = state.count;
        drop(state);
        // The socket, perhaps: not while others wait for the lock.
        drop(phase);
        count
    }

    /// The socket by which answers leave.
    pub(super) fn listener(&self) -> Guard<Arc<Listener>> {
        self.listener.load()
    }

    /// Has answers leave by another socket, which receives for the session from now on.
    /// False: the session is over, and tells the socket before.
    pub(super) fn move_to(&self, listener: &Arc<Listener>) -> bool {
        let state = self.state.lock();
        let lives = !matches!(state.phase, Phase::Closed);
        if lives {
            self.listener.store(Arc::clone(listener));
        }
        lives
    }

    /// Orders the session to end.
    pub(super) fn cut(&self, cut: Cut) {
        self.control.cut(cut);
    }
}

impl State {
    fn took(&mut self, passed: &Passed) {
        self.count.bytes += passed.bytes;
        self.count.datagrams += passed.datagrams;
        self.count.undelivered += passed.undelivered;
    }
}

/// Datagrams that wait for the target's address.
struct Waiting {
    common: Arc<Common>,
    queue: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl Waiting {
    fn new(listener: &Listener) -> Self {
        let common = Arc::clone(&listener.common);
        Self { common, queue: VecDeque::new(), bytes: 0 }
    }

    /// False: there is no room.
    fn push(&mut self, datagram: &[u8]) -> bool {
        let (most, most_bytes) = MOST_WAITING;
        let room = self.queue.len() < most && self.bytes + datagram.len() <= most_bytes;
        if !room || !self.common.hold(datagram.len()) {
            return false;
        }
        self.bytes += datagram.len();
        self.queue.push_back(datagram.into());
        true
    }

    fn trains(&self) -> impl Iterator<Item = Train<'_>> {
        self.queue.iter().map(|datagram| Train::of_one(datagram))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.common.let_go(self.bytes);
    }
}
