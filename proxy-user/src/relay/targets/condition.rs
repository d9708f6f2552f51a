//! Whether a target is up, as far as is known.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::record::Timestamp;

/// How long clients are spared a target that failed and that nobody looks at.
const RETRY: Duration = Duration::from_secs(10);

/// A target's condition: up until something fails, down until something works.
pub(super) struct Condition {
    /// Of the state below; clients ask for it without its lock.
    is_up: AtomicBool,
    state: Mutex<State>,
}

struct State {
    since: Timestamp,
    down: Option<Down>,
}

struct Down {
    error: String,
    /// When it last failed, or a client set out to try it.
    tried: Instant,
}

/// What a client may expect of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It works.
    Up,
    /// It is down, and one client is to find out whether it still is.
    Due,
    /// It is down.
    Down,
}

impl Condition {
    pub(super) fn new() -> Self {
        let state = Mutex::new(State { since: Timestamp::now(), down: None });
        Self { is_up: AtomicBool::new(true), state }
    }

    /// Something failed. `tell` is called where it was up until now, in the order of the
    /// changes.
    pub(super) fn failed(&self, error: &dyn fmt::Display, tell: impl FnOnce(&str)) {
        let mut state = self.state.lock();
        let down = Down { error: error.to_string(), tried: Instant::now() };
        if state.down.is_none() {
            state.since = Timestamp::now();
            self.is_up.store(false, Relaxed);
            tell(&down.error);
        }
        state.down = Some(down);
    }

    /// Something worked. `tell` is called where it was down until now, in the order of
    /// the changes.
    pub(super) fn worked(&self, tell: impl FnOnce()) {
        if self.is_up.load(Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        if state.down.take().is_some() {
            state.since = Timestamp::now();
            self.is_up.store(true, Relaxed);
            tell();
        }
    }

    /// Whether it is down and has not failed since `instant`.
    pub(super) fn is_quiet_since(&self, instant: Instant) -> bool {
        !self.is_up.load(Relaxed)
            && self.state.lock().down.as_ref().is_some_and(|down| down.tried <= instant)
    }

    /// How it stands; clients try one that is `watched` only for want of another.
    pub(super) fn standing(&self, watched: bool) -> Standing {
        if self.is_up.load(Relaxed) {
            return Standing::Up;
        }
        match &self.state.lock().down {
            None => Standing::Up,
            Some(down) if !watched && down.tried.elapsed() >= RETRY => Standing::Due,
            Some(_) => Standing::Down,
        }
    }

    /// Whether the caller is the client that is to try a target that is due.
    pub(super) fn claim(&self) -> bool {
        let mut state = self.state.lock();
        let due = state.down.as_mut().filter(|down| down.tried.elapsed() >= RETRY);
        due.map(|down| down.tried = Instant::now()).is_some()
    }

    /// Since when it is as it is, and why it is down, where it is.
    pub(super) fn snapshot(&self) -> (Timestamp, Option<String>) {
        let state = self.state.lock();
        (state.since, state.down.as_ref().map(|down| down.error.clone()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    impl Condition {
        /// As if so long had passed since it was last tried.
        fn after(&self, time: Duration) {
            let mut state = self.state.lock();
            let down = state.down.as_mut().unwrap();
            down.tried = down.tried.checked_sub(time).unwrap();
        }
    }

    #[test]
    fn after_a_while_one_client_tries_what_nobody_looks_at() {
        let condition = Condition::new();
        condition.failed(&"refused", |_| {});
        assert_eq!(condition.standing(false), Standing::Down);
        condition.after(RETRY);
        assert_eq!(condition.standing(true), Standing::Down, "a probe finds out");
        assert_eq!(condition.standing(false), Standing::Due);
        assert!(condition.claim());
        assert!(!condition.claim(), "one is enough");
        assert_eq!(condition.standing(false), Standing::Down);
        condition.worked(|| {});
        assert_eq!(condition.standing(false), Standing::Up);
        assert!(!condition.claim());
    }

    #[test]
    fn only_changes_are_told() {
        let condition = Condition::new();
        let mut told = Vec::new();
        condition.worked(|| told.push("up".to_owned()));
        for error in ["one", "two"] {
            condition.failed(&error, |why| told.push(why.to_owned()));
        }
        assert_eq!(condition.snapshot().1.as_deref(), Some("two"));
        condition.worked(|| told.push("up".to_owned()));
        condition.worked(|| told.push("up".to_owned()));
        assert_eq!(told, ["one", "up"]);
        assert_eq!(condition.snapshot().1, None);
    }
}
