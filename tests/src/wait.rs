//! Waiting for conditions.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a condition may take that should hold at once, on a busy machine.
pub const SOON: Duration = Duration::from_secs(10);

const PAUSE: Duration = Duration::from_millis(20);

/// Asks until there is an answer, at most for `deadline`.
pub fn eventually<T>(deadline: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// Whether a condition comes true within `deadline`.
pub fn holds(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    eventually(deadline, || condition().then_some(())).is_some()
}
