//! Records by time, and who and what is most among them.

use serde::Serialize;

use super::{Filter, Quantiles, Store, StoreError, counting::Counting};
use crate::record::Verdict;

/// Buckets of a time series, at most.
const MOST_BUCKETS: i64 = 120;
/// Lengths of a bucket that people can read.
const STEPS: [i64; 12] = [
    1000,
    5000,
    15_000,
    60_000,
    300_000,
    900_000,
    3_600_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    604_800_000,
];
/// What happened, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Records that match.
    pub total_records: u64,
    /// Attempts that aggregates stand for beyond their own record.
    pub suppressed: u64,
    /// Payload, client to target.
    pub bytes_upload: u64,
    /// Payload, target to client.
    pub bytes_download: u64,
    /// How long what was not denied took.
    #[serde(flatten)]
    pub durations: Quantiles,
    /// Length of a bucket, milliseconds.
    pub step_ms: i64,
    /// In order of time; what is empty is left out.
    pub series: Vec<Bucket>,
    /// Clients, ten at most.
    pub top_sources: Vec<Count>,
    /// Services, ten at most.
    pub top_services: Vec<Count>,
    /// Every country that there is; "" is that of unknown ones.
    pub top_countries: Vec<Count>,
    /// Every reason of denials and errors.
    pub top_reasons: Vec<Count>,
    /// Requests by the class of their status, "1xx" to "5xx", and "none" without one.
    pub status_classes: Vec<Count>,
}

/// A stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// When it begins.
    pub start: String,
    /// HTTP.
    pub requests: Verdicts,
    /// TCP, UDP and TLS.
    pub connections: Verdicts,
    /// Payload, client to target.
    pub bytes_upload: u64,
    /// Payload, target to client.
    pub bytes_download: u64,
    /// How long what was not denied took.
    #[serde(flatten)]
    pub durations: Quantiles,
}

/// Records by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the verdicts of these names")]
pub struct Verdicts {
    pub allowed: u64,
    pub denied: u64,
    pub error: u64,
}

impl Verdicts {
    pub(super) fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Allowed => self.allowed += 1,
            Verdict::Denied => self.denied += 1,
            Verdict::Error => self.error += 1,
        }
    }
}

/// An entry of a top list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The value.
    pub value: String,
    /// Records that have it.
    pub count: u64,
}

impl Store {
    /// Sums up what matches.
    pub fn summary(&self, filter: &Filter) -> Result<Summary, StoreError> {
        let _turn = self.shared.turns.take();
        let mut counting = Counting::new(self.step(filter)?);
        self.visit(filter, |reader, selected| counting.add(reader, selected))?;
        let mut summary = counting.into_summary();
        if summary.top_sources.is_empty() && summary.total_records > 0 {
            summary.top_sources = self.top_sources(filter)?;
        }
        Ok(summary)
    }

    /// The shortest step that keeps the time asked for within the buckets.
    fn step(&self, filter: &Filter) -> Result<i64, StoreError> {
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        for view in self.views()? {
            if let Some(times) = view.content.times() {
                least = least.min(times.logged.0.0);
                most = most.max(times.logged.1.0);
            }
        }
        let least = filter.start.map_or(least, |start| start.0.max(least));
        let most = filter.end.map_or(most, |end| end.0.min(most));
        let span = most.saturating_sub(least).max(0);
        let fits = STEPS.into_iter().find(|step| span / step < MOST_BUCKETS);
        Ok(fits.unwrap_or(span / MOST_BUCKETS + 1))
    }
}
