//! The time, as it is passed around: so that tests choose it.

use std::time::{Duration, Instant};

use crate::record::Timestamp;

/// One moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// For what a restart must not forget.
    pub(super) wall: Timestamp,
    /// For what it may.
    pub(super) steady: Instant,
}

impl Now {
    pub(super) fn read() -> Self {
        Self { wall: Timestamp::now(), steady: Instant::now() }
    }
}

/// `time` after `from`.
pub(super) fn later(from: Timestamp, time: Duration) -> Timestamp {
    Timestamp(from.0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}

/// From `now` to `then`, nothing where that has passed.
pub(super) fn until(then: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(then.0.saturating_sub(now.0)).unwrap_or(0))
}
