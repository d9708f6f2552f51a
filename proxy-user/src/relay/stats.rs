//! Live counters of a service.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use proxy_common::reason::Reason;

use super::Bytes;

/// A service's counters at one moment, since it was first published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sessions now.
    pub active: u32,
    /// Sessions ever opened: past the gate and the limits.
    pub opened: u64,
    /// Payload passed on, both directions, ended sessions and running ones.
    pub bytes: Bytes,
    /// Connections that the gate denied.
    pub denied: BTreeMap<Reason, u64>,
}

/// The counters themselves.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    active: AtomicU32,
    /// Sessions that the kernel plane has, as far as is known.
    forwarded: AtomicU32,
    opened: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
    denied: Mutex<BTreeMap<Reason, u64>>,
}

impl Counters {
    /// A place among at most `max` sessions, or `None` where all are taken.
    pub(super) fn enter(self: &Arc<Self>, max: u32) -> Option<Place> {
        let free = max.saturating_sub(self.forwarded.load(Relaxed));
        self.active
            .fetch_update(Relaxed, Relaxed, |active| (active < free).then_some(active + 1))
            .ok()?;
        self.opened.fetch_add(1, Relaxed);
        Some(Place(Arc::clone(self)))
    }

    /// Takes how many sessions the kernel plane has: they have places, too.
    pub(super) fn set_forwarded(&self, sessions: u32) {
        self.forwarded.store(sessions, Relaxed);
    }

    /// Counts a connection that the gate denied.
    pub(super) fn deny(&self, reason: Reason) {
        *self.denied.lock().entry(reason).or_default() += 1;
    }

    /// Adds payload that was passed on.
    pub(crate) fn add(&self, bytes: Bytes) {
        if bytes.up != 0 {
            self.up.fetch_add(bytes.up, Relaxed);
        }
        if bytes.down != 0 {
            self.down.fetch_add(bytes.down, Relaxed);
        }
    }

    pub(super) fn snapshot(&self) -> Stats {
        Stats {
            active: self.active.load(Relaxed),
            opened: self.opened.load(Relaxed),
            bytes: Bytes { up: self.up.load(Relaxed), down: self.down.load(Relaxed) },
            denied: self.denied.lock().clone(),
        }
    }
}

/// One of a service's `max_connections`, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Counters>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}
