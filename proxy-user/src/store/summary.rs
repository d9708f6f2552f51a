//! Records by time, and who and what is most among them.

use std::{cmp::Reverse, collections::HashMap};

use serde::Serialize;

use super::{Filter, Store, StoreError};
use crate::record::{Record, Timestamp, Verdict};

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
/// Entries of a top list.
const TOP: usize = 10;
/// Different values that are counted; beyond, only those known are counted on.
const MOST_VALUES: usize = 100_000;

/// What happened, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Records that match.
    pub total_records: u64,
    /// Attempts that aggregates stand for beyond their own record.
    pub suppressed: u64,
    /// Length of a bucket, milliseconds.
    pub step_ms: i64,
    /// In order of time; what is empty is left out.
    pub series: Vec<Bucket>,
    /// Clients.
    pub top_sources: Vec<Count>,
    /// Services.
    pub top_services: Vec<Count>,
    /// Countries.
    pub top_countries: Vec<Count>,
    /// Reasons of denials and errors.
    pub top_reasons: Vec<Count>,
}

/// A stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// When it begins.
    pub start: String,
    /// Records by verdict.
    pub allowed: u64,
    /// Records by verdict.
    pub denied: u64,
    /// Records by verdict.
    pub error: u64,
    /// Payload, client to target.
    pub bytes_upload: u64,
    /// Payload, target to client.
    pub bytes_download: u64,
}

/// An entry of a top list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The value.
    pub value: String,
    /// Records that have it.
    pub count: u64,
}

#[derive(Default)]
struct Top(HashMap<String, u64>);

impl Top {
    fn add(&mut self, value: String) {
        if self.0.len() < MOST_VALUES || self.0.contains_key(&value) {
            *self.0.entry(value).or_default() += 1;
        }
    }

    fn list(self) -> Vec<Count> {
        let mut all: Vec<Count> =
            self.0.into_iter().map(|(value, count)| Count { value, count }).collect();
        all.sort_by(|a, b| (Reverse(a.count), &a.value).cmp(&(Reverse(b.count), &b.value)));
        all.truncate(TOP);
        all
    }
}

impl Store {
    /// Sums up what matches.
    pub fn summary(&self, filter: &Filter) -> Result<Summary, StoreError> {
        let mut summary = Summary { step_ms: self.step(filter)?, ..Summary::default() };
        let mut buckets: HashMap<i64, Bucket> = HashMap::new();
        let [mut sources, mut services, mut countries, mut reasons] =
            [(); 4].map(|()| Top::default());
        self.visit(filter, |record| {
            let draft = &record.draft;
            summary.total_records += 1;
            summary.suppressed += suppressed(&record);
            let start = draft.timestamp.0.div_euclid(summary.step_ms);
            buckets.entry(start).or_default().add(&record);
            sources.add(draft.source.to_string());
            services.add(draft.service_id.to_string());
            countries.add(draft.location.country.map_or_else(String::new, |c| c.to_string()));
            if let Some(reason) = draft.reason {
                reasons.add(reason.as_str().to_owned());
            }
        })?;
        let mut series: Vec<(i64, Bucket)> = buckets.into_iter().collect();
        series.sort_by_key(|(start, _)| *start);
        let start = |index: i64| Timestamp(index * summary.step_ms).to_string();
        summary.series = series
            .into_iter()
            .map(|(index, bucket)| Bucket { start: start(index), ..bucket })
            .collect();
        summary.top_sources = sources.list();
        summary.top_services = services.list();
        summary.top_countries = countries.list();
        summary.top_reasons = reasons.list();
        Ok(summary)
    }

    /// The shortest step that keeps the time asked for within the buckets.
    fn step(&self, filter: &Filter) -> Result<i64, StoreError> {
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        for partition in self.partitions()? {
            if let Some(bounds) = partition.bounds()? {
                least = least.min(bounds.least);
                most = most.max(bounds.most);
            }
        }
        let least = filter.start.map_or(least, |start| start.0.max(least));
        let most = filter.end.map_or(most, |end| end.0.min(most));
        let span = most.saturating_sub(least).max(0);
        let fits = STEPS.into_iter().find(|step| span / step < MOST_BUCKETS);
        Ok(fits.unwrap_or(span / MOST_BUCKETS + 1))
    }
}

impl Bucket {
    fn add(&mut self, record: &Record) {
        match record.draft.verdict {
            Verdict::Allowed => self.allowed += 1,
            Verdict::Denied => self.denied += 1,
            Verdict::Error => self.error += 1,
        }
        self.bytes_upload = self.bytes_upload.saturating_add(record.draft.bytes_upload);
        self.bytes_download = self.bytes_download.saturating_add(record.draft.bytes_download);
    }
}

fn suppressed(record: &Record) -> u64 {
    record.draft.metadata.get("suppressed").and_then(|count| count.parse().ok()).unwrap_or(0)
}
