//! Wrong tries of one origin.

use std::time::{Duration, Instant};

use super::Tag;

/// The most tries that one counter holds, whatever is configured: its memory is bounded.
pub(super) const MOST: u32 = 10_000;

struct Try {
    tag: Tag,
    /// How often it is being looked at.
    looks: u32,
    /// Whether that has shown it to be wrong.
    wrong: bool,
}

/// Different values that were tried in a window, and the lock they led to.
pub(super) struct Counter {
    pub(super) since: Instant,
    tries: Vec<Try>,
    locked_until: Option<Instant>,
}

/// What a counter goes by.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// So many tries lock it.
    pub(super) limit: u32,
    /// In which they are counted.
    pub(super) window: Duration,
    /// How long it is locked; `None`: for what is left of the window.
    pub(super) duration: Option<Duration>,
}

impl Counter {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, tries: Vec::new(), locked_until: None }
    }

    /// Whether nothing in it counts any more.
    pub(super) fn is_over(&self, window: Duration, now: Instant) -> bool {
        match self.locked_until {
            Some(until) => until <= now,
            None => self.tries.is_empty() || now.saturating_duration_since(self.since) >= window,
        }
    }

    /// How long it stays locked for that value, if it is. A value that is being looked at
    /// is no other guess when it comes again.
    pub(super) fn locked(&self, tag: Tag, now: Instant) -> Option<Duration> {
        let left = self.locked_until?.saturating_duration_since(now);
        let looked_at = self.tries.iter().any(|tried| tried.tag == tag && !tried.wrong);
        (!left.is_zero() && !looked_at).then_some(left)
    }

    /// Counts a try that is about to be looked at, until [`Self::settle`]; the same value
    /// counts once. The one that reaches the limit still is looked at.
    pub(super) fn count(&mut self, tag: Tag, rule: &Rule, now: Instant) {
        if let Some(tried) = self.find(tag) {
            tried.looks += 1;
            return;
        }
        self.tries.push(Try { tag, looks: 1, wrong: false });
        if self.is_full(rule) {
            let end = match rule.duration {
                Some(duration) => now.checked_add(duration),
                None => self.since.checked_add(rule.window),
            };
            self.locked_until = end;
        }
    }

    /// One look is over. A wrong value stays, and need not be looked at again; one that no
    /// look has shown to be wrong stops counting with the last of them.
    pub(super) fn settle(&mut self, tag: Tag, is_wrong: bool, rule: &Rule) {
        let Some(tried) = self.find(tag) else { return };
        tried.looks = tried.looks.saturating_sub(1);
        tried.wrong |= is_wrong;
        self.tries.retain(|tried| tried.wrong || tried.looks > 0);
        if !self.is_full(rule) {
            self.locked_until = None;
        }
    }

    fn find(&mut self, tag: Tag) -> Option<&mut Try> {
        self.tries.iter_mut().find(|tried| tried.tag == tag)
    }

    pub(super) fn is_known_wrong(&self, tag: Tag) -> bool {
        self.tries.iter().any(|tried| tried.tag == tag && tried.wrong)
    }

    fn is_full(&self, rule: &Rule) -> bool {
        self.tries.len() >= rule.limit.min(MOST) as usize
    }
}
