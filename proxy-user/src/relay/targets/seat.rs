//! A session's place at its target.

use std::{fmt, sync::Arc, time::Instant};

use super::member::Member;
use crate::config::Target;

/// Counts as a session of a target until it is dropped, and tells how the target does.
pub(crate) struct Seat {
    member: Arc<Member>,
    /// Since when, where the target need never answer.
    unanswered: Option<Instant>,
}

impl Seat {
    /// For a session whose target answers a dial.
    pub(crate) fn new(member: Arc<Member>) -> Self {
        member.enter();
        Self { member, unanswered: None }
    }

    /// For a session of datagrams: if it is over and nothing was said against the target,
    /// that speaks for the target.
    pub(super) fn of_datagrams(member: Arc<Member>) -> Self {
        member.enter();
        Self { member, unanswered: Some(Instant::now()) }
    }

    /// Whose it is.
    pub(crate) fn target(&self) -> &Target {
        self.member.target()
    }

    /// The target cannot be reached: others come before it, until it works again.
    pub(crate) fn failed(&self, error: &dyn fmt::Display) {
        self.member.failed(error);
    }

    /// The target answered.
    pub(crate) fn worked(&self) {
        self.member.worked();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.member.leave();
        if self.unanswered.is_some_and(|since| self.member.condition().is_quiet_since(since)) {
            self.member.worked();
        }
    }
}
