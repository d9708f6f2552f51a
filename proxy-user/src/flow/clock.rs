//! Time as it is handed to the tracker, which never asks for it.

use std::time::{Duration, Instant};

use crate::record::Timestamp;

/// One moment on three clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The daemon's clock.
    pub instant: Instant,
    /// The kernel programs' clock: `CLOCK_MONOTONIC`, nanoseconds.
    pub monotonic: u64,
    /// The wall clock.
    pub wall: Timestamp,
}

impl Now {
    /// Reads all three.
    pub fn read() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
        Self {
            instant: Instant::now(),
            monotonic: seconds * 1_000_000_000 + nanoseconds,
            wall: Timestamp::now(),
        }
    }

    /// How long ago the kernel's time `then` was; 0 for what is yet to come.
    pub fn since(&self, then: u64) -> Duration {
        Duration::from_nanos(self.monotonic.saturating_sub(then))
    }

    /// The kernel's time of an instant that is past.
    pub fn monotonic_at(&self, instant: Instant) -> u64 {
        let ago = self.instant.saturating_duration_since(instant).as_nanos();
        self.monotonic.saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX))
    }

    /// The wall clock's time of the kernel's.
    pub fn wall_at(&self, monotonic: u64) -> Timestamp {
        let ago = self.since(monotonic).as_millis();
        Timestamp(self.wall.0.saturating_sub(i64::try_from(ago).unwrap_or(i64::MAX)))
    }
}
