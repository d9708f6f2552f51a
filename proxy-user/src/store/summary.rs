//! Records by time, and who and what is most among them.

use std::{cmp::Reverse, collections::HashMap};

use serde::Serialize;

use super::{Filter, Quantiles, Store, StoreError, quantiles::Histogram};
use crate::record::{Protocol, Record, Timestamp, Verdict};

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
    fn add(&mut self, verdict: Verdict) {
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

#[derive(Default)]
struct Top(HashMap<String, u64>);

impl Top {
    fn add(&mut self, value: String) {
        if self.0.len() < MOST_VALUES || self.0.contains_key(&value) {
            *self.0.entry(value).or_default() += 1;
        }
    }

    fn list(self, most: usize) -> Vec<Count> {
        let mut all: Vec<Count> =
            self.0.into_iter().map(|(value, count)| Count { value, count }).collect();
        all.sort_by(|a, b| (Reverse(a.count), &a.value).cmp(&(Reverse(b.count), &b.value)));
        all.truncate(most);
        all
    }
}

impl Store {
    /// Sums up what matches.
    pub fn summary(&self, filter: &Filter) -> Result<Summary, StoreError> {
        let mut summary = Summary { step_ms: self.step(filter)?, ..Summary::default() };
        let mut buckets: HashMap<i64, (Bucket, Histogram)> = HashMap::new();
        let [mut sources, mut services, mut countries, mut reasons, mut classes] =
            [(); 5].map(|()| Top::default());
        self.visit(filter, |record| {
            let draft = &record.draft;
            summary.total_records += 1;
            summary.suppressed += suppressed(&record);
            let start = draft.timestamp.0.div_euclid(summary.step_ms);
            let (bucket, durations) = buckets.entry(start).or_default();
            bucket.add(&record);
            if draft.verdict != Verdict::Denied {
                durations.add(draft.duration_ms);
            }
            sources.add(draft.source.to_string());
            services.add(draft.service_id.to_string());
            countries.add(draft.location.country.map_or_else(String::new, |c| c.to_string()));
            if let Some(reason) = draft.reason {
                reasons.add(reason.as_str().to_owned());
            }
            if let Some(http) = &draft.http {
                classes.add(class(http.status_code).to_owned());
            }
        })?;
        let mut durations = Histogram::default();
        let mut series: Vec<(i64, (Bucket, Histogram))> = buckets.into_iter().collect();
        series.sort_by_key(|(start, _)| *start);
        for (index, (mut bucket, own)) in series {
            summary.bytes_upload = summary.bytes_upload.saturating_add(bucket.bytes_upload);
            summary.bytes_download = summary.bytes_download.saturating_add(bucket.bytes_download);
            durations.merge(&own);
            bucket.start = Timestamp(index * summary.step_ms).to_string();
            bucket.durations = own.quantiles();
            summary.series.push(bucket);
        }
        summary.durations = durations.quantiles();
        summary.top_sources = sources.list(TOP);
        summary.top_services = services.list(TOP);
        summary.top_countries = countries.list(usize::MAX);
        summary.top_reasons = reasons.list(usize::MAX);
        summary.status_classes = classes.list(usize::MAX);
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
        let draft = &record.draft;
        match draft.protocol {
            Protocol::Http => self.requests.add(draft.verdict),
            Protocol::Tcp | Protocol::Udp | Protocol::Tls => self.connections.add(draft.verdict),
        }
        self.bytes_upload = self.bytes_upload.saturating_add(draft.bytes_upload);
        self.bytes_download = self.bytes_download.saturating_add(draft.bytes_download);
    }
}

/// The class of a request's status (RFC 9110, 15).
fn class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "none",
    }
}

fn suppressed(record: &Record) -> u64 {
    record.draft.metadata.get("suppressed").and_then(|count| count.parse().ok()).unwrap_or(0)
}
