//! Any question, of stores of any shape, against a naive filter over the same records.

use std::{cmp::Ordering, collections::BTreeMap};

use ipnet::IpNet;
use proptest::{collection::vec, option, prelude::*, sample::select};
use proxy_common::{country::Country, reason::Reason};
use uuid::Uuid;

use super::support::{Dice, NOON, Opened, all, open, varied};
use crate::{
    record::{AuthMethod, Protocol, Record, Timestamp, Verdict},
    store::{
        Cursor, Filter, Order, Paging, Query, Sort, Status, StoreOptions, Summary,
        order::{Place, key},
    },
};

fn texts(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    vec(select(of).prop_map(str::to_owned), 0..3)
}

/// The value, or that of a field that is not set.
fn only<T: Default>(keep: bool, value: T) -> T {
    if keep { value } else { T::default() }
}

fn times() -> impl Strategy<Value = Option<Timestamp>> {
    option::weighted(0.2, (-100i64..2000).prop_map(|second| Timestamp(NOON.0 + second * 1000)))
}

const PARTS: &[&str] = &[
    "web",
    "example.com/index",
    "com/a/b",
    "m/",
    "/",
    "u-1",
    "ann@",
    "198.51.100.",
    "2001:db",
    "many",
    "10",
    "0",
    "018",
    "018bd2da-",
    "4",
    "xyz",
    "é",
    "straße",
    "tm",
    "e",
];

prop_compose! {
    /// Most fields are not set, else nothing would match.
    fn filters()(
        search in option::weighted(0.3, select(PARTS).prop_map(str::to_owned)),
        nets in vec(select(&["10.0.0.0/8", "198.51.100.2/32", "::/0", "2001:db8::/32", "0.0.0.0/0"][..]), 0..2),
        host in texts(&["web.example.com", "ssh:22", "db.example.com:443", "WEB.test", "none"]),
        method in texts(&["get", "TCP", "BREW", ""]),
        status_code in vec(select(&[0u16, 200, 404, 502][..]), 0..2),
        user_id in texts(&["u-17", "u-18", ""]),
        service_id in texts(&["db", "web", ""]),
        protocol in vec(select(&Protocol::ALL), 0..2),
        country in option::weighted(0.2, select(&[b"DE", b"FR", b"JP"][..]).prop_map(|code| Country::from_code(code).unwrap())),
        auth_method in vec(select(&AuthMethod::ALL), 0..2),
        (reason, verdict) in (vec(select(Reason::ALL), 0..2), vec(select(&Verdict::ALL), 0..2)),
        (observed, status) in (
            option::weighted(0.2, any::<bool>()),
            option::weighted(0.3, select(&[Status::Success, Status::Failed][..])),
        ),
        path in option::weighted(0.2, select(&["/", "index", "B", "é"][..])),
        user_email in option::weighted(0.2, select(&["ann", "@", "test"][..])),
        (start, end, active_start, active_end) in (times(), times(), times(), times()),
        unset in vec(0usize..19, 10..19),
    ) -> Filter {
        let keep = |field: usize| !unset.contains(&field);
        Filter {
            search: only(keep(0), search),
            source_ip: only(keep(1), nets.iter().map(|net| net.parse::<IpNet>().unwrap()).collect()),
            host: only(keep(2), host),
            method: only(keep(3), method),
            status_code: only(keep(4), status_code),
            user_id: only(keep(5), user_id),
            service_id: only(keep(6), service_id),
            protocol: only(keep(7), protocol),
            country_code: only(keep(8), country.into_iter().collect()),
            auth_method: only(keep(9), auth_method),
            reason: only(keep(10), reason),
            verdict: only(keep(11), verdict),
            observed: only(keep(12), observed),
            path: only(keep(13), path.map(str::to_lowercase)),
            user_email: only(keep(14), user_email.map(str::to_owned)),
            status: only(keep(15), status),
            start: only(keep(16), start),
            end: only(keep(16), end),
            active_start: only(keep(17), active_start),
            active_end: only(keep(18), active_end),
        }
    }
}

/// Stores of some hundred records, from all in one tail to all in small blocks and files.
fn filled(dir: &std::path::Path, block_rows: usize, partition_bytes: u64) -> (Opened, Vec<Record>) {
    let mut opened = open(dir, StoreOptions { partition_bytes, block_rows });
    let mut dice = Dice(7);
    for part in 0..12 {
        let at = |dice: &mut Dice| {
            Timestamp(NOON.0 + (part * 90 + i64::try_from(dice.below(99)).unwrap()) * 1000)
        };
        let entries = (0..=dice.below(60)).map(|_| {
            let at = at(&mut dice);
            varied(&mut dice, at)
        });
        let entries = entries.collect();
        opened.commit(entries);
    }
    let records = all(&opened.store);
    (opened, records)
}

fn expected<'a>(
    records: &'a [Record],
    filter: &Filter,
    sort: Sort,
    order: Order,
) -> Vec<&'a Record> {
    let mut found: Vec<&Record> = records.iter().filter(|record| filter.matches(record)).collect();
    let place = |record: &Record| Place { key: key(sort, record), id: record.id };
    found.sort_by(|a, b| match order {
        Order::Ascending => place(a).cmp(&place(b)),
        Order::Descending => place(b).cmp(&place(a)),
    });
    found
}

fn check_summary(summary: &Summary, found: &[&Record]) {
    assert_eq!(summary.total_records, found.len() as u64);
    let sum = |of: fn(&Record) -> u64| found.iter().map(|record| of(record)).sum::<u64>();
    assert_eq!(summary.bytes_download, sum(|record| record.draft.bytes_download));
    let suppressed = |record: &Record| {
        record.draft.metadata.get("suppressed").map_or(0, |count| count.parse().unwrap())
    };
    assert_eq!(summary.suppressed, sum(suppressed));
    let mut sources: BTreeMap<String, u64> = BTreeMap::new();
    for record in found {
        *sources.entry(record.draft.source.to_string()).or_default() += 1;
    }
    let mut sources: Vec<(String, u64)> = sources.into_iter().collect();
    sources.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sources.truncate(10);
    let told = summary.top_sources.iter().map(|one| (one.value.clone(), one.count));
    assert_eq!(told.collect::<Vec<_>>(), sources);
    let in_buckets = summary.series.iter().map(|bucket| {
        let all = [bucket.requests, bucket.connections];
        all.iter().map(|verdicts| verdicts.allowed + verdicts.denied + verdicts.error).sum::<u64>()
    });
    assert_eq!(in_buckets.sum::<u64>(), found.len() as u64);
}

#[test]
fn every_question_is_answered_as_a_naive_search_would() {
    let shapes = [(1 << 16, u64::MAX), (64, u64::MAX), (1, u64::MAX), (100, 0)];
    let dirs: Vec<_> = shapes.iter().map(|_| tempfile::tempdir().unwrap()).collect();
    let stores: Vec<(Opened, Vec<Record>)> = shapes
        .iter()
        .zip(&dirs)
        .map(|((rows, bytes), dir)| filled(dir.path(), *rows, *bytes))
        .collect();
    let sorts = Sort::ALL.map(|(sort, _)| sort);
    let question = (
        0..stores.len(),
        filters(),
        select(sorts.to_vec()),
        any::<bool>(),
        1usize..80,
        1u64..9,
        any::<prop::sample::Index>(),
    );
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
    runner
        .run(&question, |(store, filter, sort, is_rising, page_size, page, after)| {
            let (opened, records) = &stores[store];
            let order = if is_rising { Order::Ascending } else { Order::Descending };
            let found = expected(records, &filter, sort, order);
            let ask = |paging: Paging| {
                let query = Query { filter: filter.clone(), sort, order, paging, page_size };
                opened.store.query(&query).unwrap()
            };
            let ids = |records: &[&Record]| records.iter().map(|one| one.id).collect::<Vec<Uuid>>();
            let part = |from: usize| {
                let from = from.min(found.len());
                ids(&found[from..(from + page_size).min(found.len())])
            };
            let paged = ask(Paging::Page(page));
            let from = (usize::try_from(page).unwrap() - 1) * page_size;
            prop_assert_eq!(ids(&paged.records.iter().collect::<Vec<_>>()), part(from));
            prop_assert_eq!(paged.total, found.len() as u64);
            prop_assert_eq!(paged.next.is_some(), from + page_size < found.len());
            let whole = paged.records.iter().all(|one| {
                records.binary_search_by_key(&one.id, |r| r.id).is_ok_and(|at| records[at] == *one)
            });
            prop_assert!(whole, "a record is another than it was");
            // Behind any record, also one that does not match.
            let after = &records[after.index(records.len())];
            let behind = found.iter().position(|one| {
                let [one, after] = [one, &after].map(|r| Place { key: key(sort, r), id: r.id });
                one.compare(&after, order) == Ordering::Greater
            });
            let followed = ask(Paging::After(Cursor { id: after.id }));
            prop_assert_eq!(
                ids(&followed.records.iter().collect::<Vec<_>>()),
                part(behind.unwrap_or(found.len()))
            );
            let run = opened.store.after(Some(after.id), Uuid::max(), &filter, page_size).unwrap();
            let mut rising = ids(&found);
            rising.retain(|id| *id > after.id);
            rising.sort();
            rising.truncate(page_size);
            prop_assert_eq!(ids(&run.iter().collect::<Vec<_>>()), rising);
            check_summary(&opened.store.summary(&filter).unwrap(), &found);
            Ok(())
        })
        .unwrap();
}
