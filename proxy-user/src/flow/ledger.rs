//! How far records account for the kernel's counters of denied attempts.
//!
//! Each attempt has an ordinal on its counter, and each event carries it. What a
//! counter held at one tick must have arrived as events by the next: what did not
//! is lost, and the tracker makes an aggregate of it. The tick between gives an
//! event the time between its counter and the ring buffer.

use std::collections::BTreeMap;

use crate::record::CounterId;

/// One counter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Which.
    pub counter: CounterId,
    /// Attempts that it counted.
    pub attempts: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// Everything up to here is accounted for.
    settled: u64,
    /// The counter's value at the last tick.
    horizon: u64,
    /// Events seen above `settled`, up to `horizon`.
    within: u64,
    /// Events seen above `horizon`.
    beyond: u64,
}

/// Every counter's account.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    lines: BTreeMap<CounterId, Line>,
}

impl Ledger {
    /// Takes a counter's value as settled, and gives what `accounted` is short of it.
    pub(super) fn settle(&mut self, count: Count, accounted: u64) -> u64 {
        let line = Line { settled: count.attempts, horizon: count.attempts, within: 0, beyond: 0 };
        self.lines.insert(count.counter, line);
        count.attempts.saturating_sub(accounted)
    }

    /// Notes an event. False: it was given up as lost before, and counted.
    pub(super) fn note(&mut self, counter: CounterId, ordinal: u64) -> bool {
        let line = self.lines.entry(counter).or_default();
        if ordinal <= line.settled {
            return false;
        }
        if ordinal <= line.horizon {
            line.within += 1;
        } else {
            line.beyond += 1;
        }
        true
    }

    /// Compares with the counter's value now; every event that the ring buffer held
    /// has been noted. Gives how many were lost before the last tick.
    pub(super) fn reconcile(&mut self, count: Count) -> u64 {
        let line = self.lines.entry(count.counter).or_default();
        let lost = (line.horizon - line.settled).saturating_sub(line.within);
        *line = Line {
            settled: line.horizon,
            horizon: count.attempts.max(line.horizon),
            within: line.beyond,
            beyond: 0,
        };
        lost
    }

    /// As [`Self::reconcile`], for a ring buffer that nothing writes to any more.
    pub(super) fn close(&mut self, count: Count) -> u64 {
        self.reconcile(count) + self.reconcile(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COUNTER: CounterId = CounterId { epoch: 1, service: 0, reason: 1, cpu: 0 };

    proptest! {
        /// Events are lost or come late by less than a tick; the sum holds.
        #[test]
        fn every_attempt_is_accounted_for_once(
            ticks in prop::collection::vec(prop::collection::vec(0u8..3, 0..20), 1..30)
        ) {
            let mut ledger = Ledger::default();
            let (mut attempts, mut accounted) = (0, 0);
            let mut late = Vec::new();
            for tick in ticks {
                for ordinal in std::mem::take(&mut late) {
                    accounted += u64::from(ledger.note(COUNTER, ordinal));
                }
                for fate in tick {
                    attempts += 1;
                    match fate {
                        0 => {}
                        1 => late.push(attempts),
                        _ => accounted += u64::from(ledger.note(COUNTER, attempts)),
                    }
                }
                accounted += ledger.reconcile(Count { counter: COUNTER, attempts });
            }
            for ordinal in late {
                accounted += u64::from(ledger.note(COUNTER, ordinal));
            }
            accounted += ledger.close(Count { counter: COUNTER, attempts });
            prop_assert_eq!(accounted, attempts);
        }
    }

    #[test]
    fn a_start_settles_what_was_counted_while_no_daemon_ran() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.settle(Count { counter: COUNTER, attempts: 10 }, 7), 3);
        assert!(!ledger.note(COUNTER, 10));
        assert!(ledger.note(COUNTER, 11));
        assert_eq!(ledger.close(Count { counter: COUNTER, attempts: 11 }), 0);
    }
}
