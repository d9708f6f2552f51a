//! Summaries against naive counts.

use std::collections::BTreeMap;

use super::support::{BY_COMMIT, DAY, Dice, HOUR, NOON, Opened, all, open, varied};
use crate::{
    record::{Draft, Protocol, Record, Timestamp, Verdict},
    store::{Count, Filter, Quantiles, Summary},
};

/// Records of so long, in several partitions of both kinds.
fn filled(dir: &std::path::Path, milliseconds: i64) -> Opened {
    let mut opened = open(dir, BY_COMMIT);
    let mut dice = Dice(4);
    for part in 0..4 {
        let mut at = || {
            let within = dice.below(u64::try_from(milliseconds / 4).unwrap());
            NOON.0 + part * milliseconds / 4 + i64::try_from(within).unwrap()
        };
        let mut times: Vec<i64> = (0..75).map(|_| at()).collect();
        times.sort_unstable();
        opened.commit(times.iter().map(|at| varied(&mut dice, Timestamp(*at))).collect());
    }
    opened
}

fn matching(opened: &Opened, filter: &Filter) -> Vec<Draft> {
    let matching = |record: &Record| filter.matches(record);
    all(&opened.store).into_iter().filter(matching).map(|record| record.draft).collect()
}

/// The most frequent first.
fn top(most: usize, values: impl Iterator<Item = String>) -> Vec<Count> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    // A stable sort: equal ones stay in the order of their names.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().take(most).map(|(value, count)| Count { value, count }).collect()
}

/// What is told is the quantile or less than 1 % above it.
fn assert_quantiles<'a>(told: Quantiles, drafts: impl Iterator<Item = &'a Draft>) {
    let drafts = drafts.filter(|draft| draft.verdict != Verdict::Denied);
    let mut all: Vec<u64> = drafts.map(|draft| draft.duration_ms).collect();
    all.sort_unstable();
    for (told, percent) in [(told.p50_ms, 50), (told.p95_ms, 95), (told.p99_ms, 99)] {
        let place = (all.len() * percent).div_ceil(100).checked_sub(1);
        let exact = place.map_or(0, |place| all[place]);
        assert!((exact..=exact + exact / 100).contains(&told), "{told}, {exact}");
    }
}

fn check(summary: &Summary, drafts: &[Draft]) {
    assert_eq!(summary.total_records, drafts.len() as u64);
    let suppressed = |draft: &Draft| -> u64 {
        draft.metadata.get("suppressed").map_or(0, |count| count.parse().unwrap())
    };
    assert_eq!(summary.suppressed, drafts.iter().map(suppressed).sum::<u64>());
    assert_eq!(summary.top_sources, top(10, drafts.iter().map(|d| d.source.to_string())));
    assert_eq!(summary.top_services, top(10, drafts.iter().map(|d| d.service_id.to_string())));
    let country = |d: &Draft| d.location.country.map(|c| c.to_string()).unwrap_or_default();
    assert_eq!(summary.top_countries, top(1000, drafts.iter().map(country)));
    let reasons = drafts.iter().filter_map(|draft| draft.reason);
    assert_eq!(summary.top_reasons, top(1000, reasons.map(|reason| reason.as_str().into())));

    let classes = drafts.iter().filter(|draft| draft.http.is_some());
    let class = |draft: &Draft| match draft.status_code() {
        0 => "none".to_owned(),
        status => format!("{}xx", status / 100),
    };
    assert_eq!(summary.status_classes, top(1000, classes.map(class)));
    assert_quantiles(summary.durations, drafts.iter());
    assert_eq!(summary.bytes_upload, drafts.iter().map(|draft| draft.bytes_upload).sum::<u64>());
    assert_eq!(summary.bytes_download, drafts.iter().map(|d| d.bytes_download).sum::<u64>());

    let mut counted = 0;
    for bucket in &summary.series {
        let start: jiff::Timestamp = bucket.start.parse().unwrap();
        let start = start.as_millisecond();
        assert_eq!(start % summary.step_ms, 0, "people read round times");
        let within = start..start + summary.step_ms;
        let drafts = || drafts.iter().filter(|draft| within.contains(&draft.timestamp.0));
        for (told, is_http) in [(bucket.requests, true), (bucket.connections, false)] {
            let of = |verdict| {
                let is = |draft: &&Draft| draft.verdict == verdict;
                let own = drafts().filter(|draft| (draft.protocol == Protocol::Http) == is_http);
                own.filter(is).count() as u64
            };
            assert_eq!(told.allowed, of(Verdict::Allowed));
            assert_eq!(told.denied, of(Verdict::Denied));
            assert_eq!(told.error, of(Verdict::Error));
        }
        assert_quantiles(bucket.durations, drafts());
        assert_eq!(bucket.bytes_upload, drafts().map(|draft| draft.bytes_upload).sum::<u64>());
        assert_eq!(bucket.bytes_download, drafts().map(|draft| draft.bytes_download).sum::<u64>());
        assert_ne!(drafts().count(), 0, "empty ones are left out");
        counted += drafts().count();
    }
    assert_eq!(counted, drafts.len(), "each is in one bucket");
    assert!(summary.series.is_sorted_by(|a, b| a.start < b.start));
    assert!(summary.series.len() <= 121, "{}", summary.series.len());
}

#[test]
fn a_summary_counts_what_matches() {
    for span in [60_000, 3 * HOUR, 20 * DAY, 3000 * DAY] {
        let dir = tempfile::tempdir().unwrap();
        let opened = filled(dir.path(), span);
        let (start, end) = (Timestamp(NOON.0 + span / 3), Timestamp(NOON.0 + span / 2));
        let services = vec!["db".to_owned(), "web".to_owned()];
        let filters = [
            Filter::default(),
            Filter { verdict: vec![Verdict::Denied], ..Filter::default() },
            Filter { start: Some(start), end: Some(end), ..Filter::default() },
            Filter { service_id: services, active_start: Some(start), ..Filter::default() },
        ];
        for filter in filters {
            let drafts = matching(&opened, &filter);
            assert!(!drafts.is_empty());
            check(&opened.store.summary(&filter).unwrap(), &drafts);
        }
    }
}

#[test]
fn a_narrower_time_has_shorter_steps() {
    let dir = tempfile::tempdir().unwrap();
    let opened = filled(dir.path(), 20 * DAY);
    let step = |filter| opened.store.summary(&filter).unwrap().step_ms;
    assert_eq!(step(Filter::default()), 6 * HOUR);
    let end = Some(Timestamp(NOON.0 + HOUR));
    assert_eq!(step(Filter { start: Some(NOON), end, ..Filter::default() }), 60_000);
}

#[test]
fn a_summary_of_nothing_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path(), BY_COMMIT);
    let summary = opened.store.summary(&Filter::default()).unwrap();
    check(&summary, &[]);
    assert!(summary.step_ms > 0);
}
