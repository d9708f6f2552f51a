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

    /// What it is to say when the daemon has ended, of what was not said before.
    pub(super) fn end(self, stats: &WriterStats) -> Option<String> {
        let dropped_before = self.open.as_ref().map_or(self.dropped, |gap| gap.dropped_before);
        let lost = stats.dropped - dropped_before;
        match &stats.failing {
            Some(why) => {
                Some(format!("the store cannot write at the end: {why}; {lost} records lost"))
            }
            None if self.open.is_some() || lost > 0 => {
                Some(format!("records were kept again at the end; {lost} were lost"))
            }
            None => None,
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

    #[test]
    fn the_end_tells_what_is_lost_until_then_and_was_not_told() {
        let start = Instant::now();
        let seen = |looks: &[WriterStats]| {
            let mut gaps = Gaps::default();
            for look in looks {
                gaps.look(look, start);
            }
            gaps
        };
        assert_eq!(seen(&[stats(0, None)]).end(&stats(0, None)), None);
        let failed = seen(&[stats(2, Some("no space"))]).end(&stats(9, Some("no space")));
        assert_eq!(
            failed.as_deref(),
            Some("the store cannot write at the end: no space; 9 records lost")
        );
        let over = Some("records were kept again at the end; 4 were lost".to_owned());
        assert_eq!(seen(&[stats(3, None)]).end(&stats(4, None)), over);
        assert_eq!(seen(&[stats(0, None)]).end(&stats(4, None)), over);
    }
}
