//! Times in which records are lost, for the audit log.

use std::time::{Duration, Instant};

use crate::store::WriterStats;

/// A gap is over when nothing was lost for so long.
const QUIET: Duration = Duration::from_secs(1);

/// Follows what the writer loses.
#[derive(Default)]
pub(super) struct Gaps {
    dropped: u64,
    open: Option<Gap>,
}

struct Gap {
    since: Instant,
    dropped_before: u64,
    /// When something was last lost, or could have been.
    last: Instant,
}

impl Gaps {
    /// What the audit log is to say: why a gap begins, and when it is over what it
    /// cost.
    pub(super) fn look(&mut self, stats: &WriterStats, now: Instant) -> Option<String> {
        let dropped_before = std::mem::replace(&mut self.dropped, stats.dropped);
        let losing = stats.failing.is_some() || stats.dropped > dropped_before;
        match &mut self.open {
            None if !losing => None,
            None => {
                self.open = Some(Gap { since: now, dropped_before, last: now });
                Some(match &stats.failing {
                    Some(why) => format!("the store cannot write: {why}"),
                    None => "records are dropped: they come faster than they are written".into(),
                })
            }
            Some(gap) if losing => {
                gap.last = now;
                None
            }
            Some(gap) if now - gap.last < QUIET => None,
            Some(gap) => {
                let lost = stats.dropped - gap.dropped_before;
                let seconds = (gap.last - gap.since).as_secs();
                self.open = None;
                Some(format!("records are kept again after {seconds} s; {lost} were lost"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(dropped: u64, failing: Option<&str>) -> WriterStats {
        let failing = failing.map(str::to_owned);
        WriterStats { dropped, failing, ..WriterStats::default() }
    }

    #[test]
    fn a_store_that_fails_makes_a_gap_and_its_end_tells_the_cost() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(gaps.look(&stats(0, None), start), None);
        let began = gaps.look(&stats(0, Some("no space")), start).unwrap_or_default();
        assert!(began.contains("no space"), "{began}");
        assert_eq!(gaps.look(&stats(4, Some("no space")), after(9)), None);
        assert_eq!(gaps.look(&stats(5, None), after(10)), None);
        let over = gaps.look(&stats(5, None), after(11)).unwrap_or_default();
        assert_eq!(over, "records are kept again after 10 s; 5 were lost");
        assert_eq!(gaps.look(&stats(5, None), after(99)), None);
    }

    #[test]
    fn records_that_overload_drops_make_one_gap_however_they_trickle() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let began = gaps.look(&stats(3, None), start).unwrap_or_default();
        assert!(began.contains("dropped"), "{began}");
        assert_eq!(gaps.look(&stats(3, None), after(900)), None);
        assert_eq!(gaps.look(&stats(4, None), after(1800)), None);
        assert_eq!(gaps.look(&stats(4, None), after(2700)), None);
        let over = gaps.look(&stats(4, None), after(2800)).unwrap_or_default();
        assert_eq!(over, "records are kept again after 1 s; 4 were lost");
        assert!(gaps.look(&stats(5, None), after(2900)).is_some());
    }
}
