//! Lockout: how many credentials may be tried. It is asked before a credential is looked
//! at, and of nothing else: a session is never locked.

mod counter;
mod ledger;
mod origin;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::ledger::Ledger;
pub(super) use self::origin::TriedFrom;
use crate::{config, record::KeyedMap};

/// A value that was tried, under a key that nobody else has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(pub(super) [u8; 32]);

/// Too many values were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Locked {
    /// When it is over.
    pub(super) retry_after: Duration,
}

/// What a try that is admitted needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// To be looked at.
    Try,
    /// Nothing: the same value was wrong before.
    KnownWrong,
}

/// How a try came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Wrong,
    Right,
    /// Nobody had the time to look.
    NotLookedAt,
}

/// One try.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    pub(super) service: &'a str,
    pub(super) rules: &'a config::Lockout,
    pub(super) from: TriedFrom,
    pub(super) tag: Tag,
}

/// The tries at every service.
#[derive(Default)]
pub(super) struct Lockout {
    services: Mutex<KeyedMap<String, Ledger>>,
}

impl Lockout {
    /// Counts a try, before it is looked at.
    pub(super) fn admit(&self, attempt: &Attempt<'_>, now: Instant) -> Result<Admission, Locked> {
        let Attempt { service, rules, from, tag } = *attempt;
        let mut services = self.services.lock();
        let ledger = match services.get_mut(service) {
            Some(ledger) => ledger,
            None => services.entry(service.to_owned()).or_insert_with(|| Ledger::new(now)),
        };
        let known = ledger.admit(from, rules, tag, now)?;
        Ok(if known { Admission::KnownWrong } else { Admission::Try })
    }

    /// Tells how a try came out that was admitted to be looked at. A right one does not
    /// count.
    pub(super) fn settle(&self, attempt: &Attempt<'_>, outcome: Outcome, now: Instant) {
        let Attempt { service, rules, from, tag } = *attempt;
        if let Some(ledger) = self.services.lock().get_mut(service) {
            let is_wrong = outcome == Outcome::Wrong;
            ledger.each(from, rules, now, |counter, rule| counter.settle(tag, is_wrong, rule));
        }
    }

    /// Forgets services that there are no more.
    pub(super) fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.services.lock().retain(|service, _| exists(service));
    }
}
