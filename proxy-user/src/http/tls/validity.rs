//! From when to when a certificate is good.

use std::time::Duration;

use crate::record::Timestamp;

/// A certificate that ends sooner than this is worth a word.
const NOTICE: Duration = Duration::from_hours(14 * 24);

/// Both ends included (RFC 5280, 4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl Validity {
    pub(super) fn holds(self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// When it is time for another: at two thirds.
    pub(super) fn renew_at(self) -> Timestamp {
        Timestamp(self.not_after.0.saturating_sub(self.lifetime() / 3))
    }

    /// What is wrong with it now.
    pub(super) fn problem(self, now: Timestamp) -> Option<String> {
        if now < self.not_before {
            Some(format!("is not valid before {}", self.not_before))
        } else if now > self.not_after {
            Some(format!("expired at {}", self.not_after))
        } else {
            (now >= self.notice_at()).then(|| format!("expires at {}", self.not_after))
        }
    }

    /// One that lives for days only is noticed in its last quarter: a renewal in time comes
    /// before that.
    fn notice_at(self) -> Timestamp {
        let notice = i64::try_from(NOTICE.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.not_after.0.saturating_sub(notice.min(self.lifetime() / 4)))
    }

    fn lifetime(self) -> i64 {
        self.not_after.0.saturating_sub(self.not_before.0).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3_600_000;

    fn days(from: i64, to: i64) -> Validity {
        Validity { not_before: Timestamp(from * DAY), not_after: Timestamp(to * DAY) }
    }

    fn problem(validity: Validity, day: i64) -> String {
        validity.problem(Timestamp(day * DAY)).unwrap_or_default()
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_life() {
        assert_eq!(days(10, 100).renew_at(), Timestamp(70 * DAY));
        assert_eq!(days(0, 6).renew_at(), Timestamp(4 * DAY));
        assert_eq!(days(5, 5).renew_at(), Timestamp(5 * DAY));
    }

    #[test]
    fn the_last_two_weeks_are_worth_a_word() {
        let year = days(0, 365);
        assert_eq!(problem(year, 350), "");
        assert!(problem(year, 352).starts_with("expires at 1971-01-01"));
        assert!(problem(year, 366).starts_with("expired at "));
        assert!(problem(year, -1).starts_with("is not valid before "));
    }

    #[test]
    fn a_short_life_that_is_renewed_in_time_is_no_problem() {
        let week = days(0, 8);
        assert!(week.renew_at() < Timestamp(6 * DAY));
        assert_eq!(problem(week, 5), "");
        assert!(problem(week, 6).starts_with("expires at "));
    }
}
