//! What passes of a request and its answer.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::relay::{Bytes, Counters};

/// What passes in both directions, counted by those who pass it on.
#[derive(Debug)]
pub(super) struct Traffic {
    began: Instant,
    up: AtomicU64,
    down: AtomicU64,
    /// When something of the request's body passed last, in milliseconds since it began.
    asked: AtomicU64,
    /// Of the service.
    counters: OnceLock<Arc<Counters>>,
    /// How the request's body ended, as [`BodyEnd`].
    body: AtomicU8,
}

/// How the body of a request ended, where that was before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum BodyEnd {
    /// It did not.
    Whole,
    /// The client went away, or broke its own framing.
    Broken,
    /// The client was silent for too long.
    Silent,
}

impl Traffic {
    /// Of a request that began then.
    pub(super) fn since(began: Instant) -> Self {
        Self {
            began,
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            counters: OnceLock::new(),
            body: AtomicU8::new(BodyEnd::Whole as u8),
        }
    }

    /// It counts for a service, too.
    pub(super) fn is_of(&self, counters: &Arc<Counters>) {
        // It is of one service all the time.
        let _ = self.counters.set(Arc::clone(counters));
    }

    /// Bytes pass on, so many of them to the target and from it.
    pub(super) fn moves(&self, bytes: Bytes) {
        self.up.fetch_add(bytes.up, Relaxed);
        self.down.fetch_add(bytes.down, Relaxed);
        if let Some(counters) = self.counters.get() {
            counters.add(bytes);
        }
    }

    /// Something of the request's body passes, or its end.
    pub(super) fn asks(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.asked.store(now, Relaxed);
    }

    /// When something of the request's body passed last, else when the request began.
    pub(super) fn asked(&self) -> Instant {
        self.began + Duration::from_millis(self.asked.load(Relaxed))
    }

    /// All that has passed until now.
    pub(super) fn passed(&self) -> Bytes {
        Bytes { up: self.up.load(Relaxed), down: self.down.load(Relaxed) }
    }

    /// The request's body ends before its end.
    pub(super) fn body_ends(&self, end: BodyEnd) {
        self.body.store(end as u8, Relaxed);
    }

    /// How the request's body ended.
    pub(super) fn body_end(&self) -> BodyEnd {
        match self.body.load(Relaxed) {
            1 => BodyEnd::Broken,
            2 => BodyEnd::Silent,
            _ => BodyEnd::Whole,
        }
    }
}
