//! How the orders for a domain stand.

use crate::{http::tls::AcmeState, record::Timestamp};

use super::schedule::retry_at;

/// Since the last order that succeeded.
#[derive(Debug, Default)]
pub(super) struct Progress {
    ordering: bool,
    failures: u32,
    last_error: Option<String>,
    retry_at: Option<Timestamp>,
}

/// Why an order failed, and until when the authority wants to be left alone.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: String,
    pub(super) asked: Option<Timestamp>,
}

impl Progress {
    /// Begins an order where `due` has come and nothing is in its way.
    pub(super) fn begin(&mut self, due: Timestamp, now: Timestamp) -> bool {
        let begins = !self.ordering && self.next(due) <= now;
        self.ordering |= begins;
        begins
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    pub(super) fn failed(&mut self, failed: Failed, random: u8, now: Timestamp) {
        self.ordering = false;
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(retry_at(self.failures, random, failed.asked, now));
        self.last_error = Some(failed.error);
    }

    /// `due`: when the domain's certificate is to be renewed.
    pub(super) fn state(&self, due: Timestamp) -> AcmeState {
        AcmeState {
            ordering: self.ordering,
            last_error: self.last_error.clone(),
            next_try: (!self.ordering).then(|| self.next(due)),
        }
    }

    fn next(&self, due: Timestamp) -> Timestamp {
        self.retry_at.map_or(due, |retry_at| retry_at.max(due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUE: Timestamp = Timestamp(1_000);
    const MINUTE: i64 = 60_000;

    fn failed() -> Failed {
        Failed { error: "no".to_owned(), asked: None }
    }

    #[test]
    fn an_order_begins_when_it_is_due_and_only_once() {
        let mut progress = Progress::default();
        assert!(!progress.begin(DUE, Timestamp(999)));
        assert!(progress.begin(DUE, DUE));
        assert!(!progress.begin(DUE, Timestamp(2_000)));
        assert_eq!(
            progress.state(DUE),
            AcmeState { ordering: true, last_error: None, next_try: None }
        );
    }

    #[test]
    fn a_failure_is_told_and_postpones_the_next_order_until_one_succeeds() {
        let mut progress = Progress::default();
        for failures in 1..=3 {
            assert!(progress.begin(DUE, Timestamp(failures * 100 * MINUTE)));
            progress.failed(failed(), 0, Timestamp(failures * 100 * MINUTE));
        }
        let next = Timestamp(304 * MINUTE);
        let state = progress.state(DUE);
        assert_eq!((state.last_error.as_deref(), state.next_try), (Some("no"), Some(next)));
        assert!(!progress.begin(DUE, Timestamp(next.0 - 1)));
        assert!(progress.begin(DUE, next));
        progress.succeeded();
        let renewal = Timestamp(9_000 * MINUTE);
        let good = AcmeState { ordering: false, last_error: None, next_try: Some(renewal) };
        assert_eq!(progress.state(renewal), good);
    }
}
