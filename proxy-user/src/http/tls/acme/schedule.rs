//! When an order that failed is made again.

use std::time::Duration;

use crate::record::Timestamp;

/// After the first that failed; doubled by each further one.
const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(24);
/// What an authority may ask for: its limits are by the week.
const LONGEST_ASKED: Duration = Duration::from_hours(7 * 24);

/// When to try again after so many failures in a row, the last one now. `random` spreads
/// over a quarter of the wait, so that what failed together does not come back together.
pub(super) fn retry_at(
    failures: u32,
    random: u8,
    asked: Option<Timestamp>,
    now: Timestamp,
) -> Timestamp {
    let wait = SHORTEST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    let wait = wait + wait / 4 * u32::from(random) / 256;
    let own = after(now, wait.min(LONGEST));
    let asked = asked.map(|asked| asked.min(after(now, LONGEST_ASKED)));
    asked.map_or(own, |asked| asked.max(own))
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    Timestamp(now.0.saturating_add(wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const MINUTE: i64 = 60_000;

    fn minutes(failures: u32, random: u8) -> i64 {
        (retry_at(failures, random, None, NOW).0 - NOW.0) / MINUTE
    }

    #[test]
    fn an_order_is_made_again_after_a_minute_and_then_rarely() {
        let waits: Vec<i64> = (1..6).map(|failures| minutes(failures, 0)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16]);
        assert_eq!(minutes(30, 0), 24 * 60);
        assert_eq!(minutes(u32::MAX, 255), 24 * 60);
    }

    #[test]
    fn what_failed_together_does_not_come_back_together() {
        assert_eq!(minutes(6, 0), 32);
        assert_eq!(minutes(6, 128), 36);
        assert_eq!(minutes(6, 255), 39);
    }

    #[test]
    fn what_an_authority_asks_for_is_waited_for_but_not_for_ever() {
        let asked = |wait| retry_at(3, 0, Some(Timestamp(NOW.0 + wait * MINUTE)), NOW).0 - NOW.0;
        assert_eq!(asked(1), 4 * MINUTE, "its own wait is longer");
        assert_eq!(asked(180), 180 * MINUTE);
        assert_eq!(asked(1_000_000), 7 * 24 * 60 * MINUTE);
    }
}
