//! Every filter, order and page, against a list that is filtered and sorted naively.

use std::{
    cmp::Ordering,
    net::{IpAddr, Ipv6Addr},
};

use proxy_common::{country::Country, reason::Reason};
use uuid::Uuid;

use super::support::{BY_COMMIT, DAY, Dice, HOUR, NOON, Opened, all, files, open, served, varied};
use crate::{
    record::{AuthMethod, Draft, Entry, HttpPart, Protocol, Record, Source, Timestamp, Verdict},
    store::{Cursor, Filter, Order, Page, Paging, Query, Sort, Status},
};

const RECORDS: usize = 400;
const ORDERS: [Order; 2] = [Order::Ascending, Order::Descending];

/// Records of three days in a dozen partitions, and all of them.
fn filled(dir: &std::path::Path) -> (Opened, Vec<Record>) {
    let mut opened = open(dir, BY_COMMIT);
    let mut dice = Dice(1);
    for day in 0..3 {
        for _ in 0..2 {
            let mut time = || NOON.0 + day * DAY + i64::try_from(dice.below(20)).unwrap() * 10_000;
            let times: Vec<i64> = (0..=RECORDS / 6).map(|_| time()).collect();
            opened.commit(times.iter().map(|at| varied(&mut dice, Timestamp(*at))).collect());
        }
    }
    assert_eq!(files(dir).len(), 12);
    let records = all(&opened.store);
    assert!(records.len() > RECORDS);
    (opened, records)
}

type Means = Box<dyn Fn(&Draft) -> bool>;

fn case(filter: Filter, means: impl Fn(&Draft) -> bool + 'static) -> (Filter, Means) {
    (filter, Box::new(means))
}

fn asked(draft: &Draft, is: impl Fn(&HttpPart) -> bool) -> bool {
    draft.http.as_ref().is_some_and(|http| is(http))
}

fn is_success(draft: &Draft) -> bool {
    draft.verdict == Verdict::Allowed
        && !asked(draft, |http| [404, 502].contains(&http.status_code))
}

fn v4(draft: &Draft) -> [u8; 4] {
    match draft.source {
        Source::Address(IpAddr::V4(address)) => address.octets(),
        _ => [0; 4],
    }
}

/// Filters, and what each means; every field is in at least one.
fn filters() -> Vec<(Filter, Means)> {
    filters_of_all().into_iter().chain(filters_of_requests()).collect()
}

fn filters_of_all() -> Vec<(Filter, Means)> {
    let all = Filter::default;
    let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|&t| t.into()).collect() };
    let nets = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect();
    let from = Timestamp(NOON.0 + DAY + 60_000);
    let until = Timestamp(NOON.0 + DAY + 120_000);
    let early = Timestamp(NOON.0 + 2 * DAY - HOUR);
    let de = Country::from_code(b"DE").unwrap();
    let fr = Country::from_code(b"FR").unwrap();
    let v6: Ipv6Addr = "2001:db8::7".parse().unwrap();
    vec![
        case(all(), |_| true),
        case(Filter { search: Some("example".into()), ..all() }, |d| {
            d.host.contains("ample") || asked(d, |http| http.user_email == "Ann@example.com")
        }),
        case(Filter { search: Some("web.".into()), ..all() }, |d| {
            d.host.len() > 14 || d.host.ends_with("test")
        }),
        case(Filter { search: Some("198.51.100.3".into()), ..all() }, |d| {
            v4(d) == [198, 51, 100, 30]
        }),
        case(Filter { search: Some("51.100".into()), ..all() }, |_| false),
        case(Filter { source_ip: nets(&["10.0.0.0/8"]), ..all() }, |d| v4(d)[0] == 10),
        case(
            Filter { source_ip: nets(&["198.51.100.2/32", "2001:db8::/32"]), ..all() },
            move |d| v4(d) == [198, 51, 100, 2] || d.source == Source::Address(v6.into()),
        ),
        case(Filter { source_ip: nets(&["0.0.0.0/0"]), ..all() }, |d| v4(d) != [0; 4]),
        case(Filter { host: texts(&["web.example.com"]), ..all() }, |d| {
            d.host == "Web.Example.com"
        }),
        case(Filter { host: texts(&["ssh:22", "db.example.com"]), ..all() }, |d| {
            (d.host == "ssh" && d.listen_port == 22) || d.host == "db.example.com"
        }),
        case(Filter { service_id: texts(&["db", "ssh"]), ..all() }, |d| {
            d.service_id == "db" || d.service_id == "ssh"
        }),
        case(Filter { country_code: vec![de], ..all() }, move |d| d.location.country == Some(de)),
        case(Filter { country_code: vec![fr, de], ..all() }, |d| d.location.country.is_some()),
        case(
            Filter { reason: vec![Reason::GeoUnavailable, Reason::BackendTimeout], ..all() },
            |d| {
                d.reason.is_some_and(|r| {
                    r.as_str() == "geo_unavailable" || r.as_str() == "backend_timeout"
                })
            },
        ),
        case(Filter { verdict: vec![Verdict::Error], ..all() }, |d| d.verdict.as_str() == "error"),
        case(Filter { observed: Some(true), ..all() }, |d| d.observed_reason.is_some()),
        case(Filter { observed: Some(false), ..all() }, |d| d.observed_reason.is_none()),
        case(Filter { user_email: Some("ann@".into()), ..all() }, |d| {
            asked(d, |http| http.user_email == "Ann@example.com")
        }),
        case(Filter { start: Some(from), ..all() }, move |d| d.timestamp.0 >= from.0),
        case(Filter { end: Some(until), ..all() }, move |d| d.timestamp.0 <= until.0),
        case(Filter { start: Some(from), end: Some(until), ..all() }, move |d| {
            (from.0..=until.0).contains(&d.timestamp.0)
        }),
        case(Filter { active_start: Some(from), ..all() }, move |d| d.timestamp.0 >= from.0),
        case(Filter { active_end: Some(early), ..all() }, move |d| {
            d.timestamp.0 - i64::try_from(d.duration_ms).unwrap() <= early.0
        }),
        case(Filter { active_start: Some(early), active_end: Some(early), ..all() }, move |d| {
            (d.started_at.0..=d.timestamp.0).contains(&early.0)
        }),
        case(
            Filter {
                host: texts(&["ssh"]),
                verdict: vec![Verdict::Denied],
                observed: Some(false),
                start: Some(from),
                ..all()
            },
            move |d| {
                d.host == "ssh"
                    && d.verdict == Verdict::Denied
                    && d.observed_reason.is_none()
                    && d.timestamp >= from
            },
        ),
    ]
}

/// The same of fields that only requests have, or have otherwise.
fn filters_of_requests() -> Vec<(Filter, Means)> {
    let all = Filter::default;
    let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|&t| t.into()).collect() };
    vec![
        case(Filter { search: Some("com/in".into()), ..all() }, |d| {
            d.host.ends_with("com") && asked(d, |http| http.path == "/Index.html")
        }),
        case(Filter { search: Some("/a".into()), ..all() }, |d| asked(d, |h| h.path == "/a/b")),
        case(Filter { search: Some("u-1".into()), ..all() }, |d| {
            asked(d, |h| !h.user_id.is_empty())
        }),
        case(Filter { search: Some("01000000-0000".into()), ..all() }, |d| {
            asked(d, |http| http.request_id.as_bytes()[0] == 1)
        }),
        case(Filter { method: texts(&["tcp"]), ..all() }, |d| d.http.is_none()),
        case(Filter { method: texts(&["get", "BREW"]), ..all() }, |d| {
            asked(d, |http| http.method != "POST")
        }),
        case(Filter { status_code: vec![404, 0], ..all() }, |d| {
            !asked(d, |http| [200, 302, 502].contains(&http.status_code))
        }),
        case(Filter { status_code: vec![200], ..all() }, |d| asked(d, |h| h.status_code == 200)),
        case(Filter { user_id: texts(&["u-17", "someone"]), ..all() }, |d| {
            asked(d, |http| http.user_id == "U-17")
        }),
        case(Filter { protocol: vec![Protocol::Udp, Protocol::Tcp], ..all() }, |d| {
            d.http.is_none()
        }),
        case(Filter { protocol: vec![Protocol::Http], ..all() }, |d| d.http.is_some()),
        case(Filter { protocol: vec![Protocol::Udp], ..all() }, |_| false),
        case(Filter { auth_method: vec![AuthMethod::Pin, AuthMethod::None], ..all() }, |d| {
            asked(d, |http| http.auth.as_str() == "pin" || http.auth.as_str() == "none")
        }),
        case(Filter { path: Some("/".into()), ..all() }, |d| {
            asked(d, |http| !http.path.is_empty())
        }),
        case(Filter { path: Some("index".into()), ..all() }, |d| {
            asked(d, |http| http.path == "/Index.html")
        }),
        case(Filter { path: Some(String::new()), ..all() }, |_| true),
        case(Filter { status: Some(Status::Success), ..all() }, is_success),
        case(Filter { status: Some(Status::Failed), ..all() }, |d| !is_success(d)),
    ]
}

/// IPv4 by number, then IPv6; what has none comes first.
fn place(draft: &Draft) -> (u8, u128) {
    match draft.source {
        Source::Many => (0, 0),
        Source::Address(IpAddr::V4(address)) => (1, address.to_bits().into()),
        Source::Address(IpAddr::V6(address)) => (2, address.to_bits()),
    }
}

fn compare(sort: Sort, a: &Draft, b: &Draft) -> Ordering {
    let url = |draft: &Draft| match &draft.http {
        Some(http) => format!("{}{}", draft.host, http.path),
        None => format!("{}:{}", draft.host, draft.listen_port),
    };
    let text = |of: fn(&HttpPart) -> &str| {
        let shown = |draft: &Draft| draft.http.as_ref().map_or(String::new(), |h| of(h).into());
        shown(a).cmp(&shown(b))
    };
    let method = |draft: &Draft| draft.http.as_ref().map_or("TCP".into(), |h| h.method.clone());
    let status = |draft: &Draft| draft.http.as_ref().map_or(0, |http| http.status_code);
    let reason = |draft: &Draft| draft.reason.map_or("", Reason::as_str);
    match sort {
        Sort::Timestamp => a.timestamp.cmp(&b.timestamp),
        Sort::Url => url(a).cmp(&url(b)),
        Sort::Host => a.host.cmp(&b.host),
        Sort::Duration => a.duration_ms.cmp(&b.duration_ms),
        Sort::SourceIp => place(a).cmp(&place(b)),
        Sort::Reason => reason(a).cmp(reason(b)),
        Sort::BytesUpload => a.bytes_upload.cmp(&b.bytes_upload),
        Sort::BytesDownload => a.bytes_download.cmp(&b.bytes_download),
        Sort::Path => text(|http| &http.path),
        Sort::Method => method(a).cmp(&method(b)),
        Sort::StatusCode => status(a).cmp(&status(b)),
        Sort::UserId => text(|http| &http.user_id),
        Sort::AuthMethod => text(|http| http.auth.as_str()),
    }
}

/// The ids that a query should give, from records in the order of ids.
fn expected(records: &[Record], means: &Means, sort: Sort, order: Order) -> Vec<Uuid> {
    let mut found: Vec<&Record> = records.iter().filter(|record| means(&record.draft)).collect();
    found.sort_by(|a, b| compare(sort, &a.draft, &b.draft).then(a.id.cmp(&b.id)));
    if order == Order::Descending {
        found.reverse();
    }
    found.into_iter().map(|record| record.id).collect()
}

fn ask(opened: &Opened, filter: &Filter, by: (Sort, Order), paging: Paging, size: usize) -> Page {
    let (sort, order) = by;
    let query = Query { filter: filter.clone(), sort, order, paging, page_size: size };
    opened.store.query(&query).unwrap()
}

fn ids(page: &Page) -> impl Iterator<Item = Uuid> + '_ {
    page.records.iter().map(|record| record.id)
}

#[test]
fn every_filter_in_every_order_finds_what_a_naive_search_finds() {
    let dir = tempfile::tempdir().unwrap();
    let (opened, records) = filled(dir.path());
    for (filter, means) in filters() {
        for (sort, name) in Sort::ALL {
            for order in ORDERS {
                let expected = expected(&records, &means, sort, order);
                let page = ask(&opened, &filter, (sort, order), Paging::Page(1), 1000);
                assert!(ids(&page).eq(expected.iter().copied()), "{filter:?} {name} {order:?}");
                assert_eq!(page.total, expected.len() as u64);
                assert_eq!(page.next, None);
            }
        }
    }
}

#[test]
fn the_filters_of_this_test_tell_records_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (_opened, records) = filled(dir.path());
    let matching = |means: &Means| records.iter().filter(|record| means(&record.draft)).count();
    let some =
        filters().iter().filter(|(_, means)| (1..records.len()).contains(&matching(means))).count();
    assert_eq!(some, 39);
}

#[test]
fn a_record_is_found_by_the_beginning_of_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let (opened, records) = filled(dir.path());
    let asked = records[77].id.to_string();
    for length in [36, 20, 13] {
        let begin = asked[..length].to_owned();
        let same = records.iter().filter(|record| record.id.to_string().starts_with(&begin));
        let filter = Filter { search: Some(begin.clone()), ..Filter::default() };
        let mut same: Vec<Uuid> = same.map(|record| record.id).collect();
        same.sort();
        let page = ask(&opened, &filter, (Sort::Host, Order::Ascending), Paging::Page(1), 1000);
        let mut found: Vec<Uuid> = ids(&page).collect();
        found.sort();
        assert_eq!(found, same);
    }
    assert_eq!(opened.store.get(records[77].id).unwrap().as_ref(), Some(&records[77]));
    assert_eq!(opened.store.get(Uuid::max()).unwrap(), None);
}

#[test]
fn pages_and_cursors_give_every_record_once() {
    let dir = tempfile::tempdir().unwrap();
    let (opened, records) = filled(dir.path());
    let filter = Filter { verdict: vec![Verdict::Denied, Verdict::Error], ..Filter::default() };
    let means: Means = Box::new(|draft| draft.verdict != Verdict::Allowed);
    for (sort, name) in Sort::ALL {
        for order in ORDERS {
            let expected = expected(&records, &means, sort, order);
            let (mut by_page, mut by_cursor) = (Vec::new(), Vec::new());
            let mut next = None;
            for number in 1..=expected.len().div_ceil(90) {
                let page = Paging::Page(number as u64);
                by_page.extend(ids(&ask(&opened, &filter, (sort, order), page.clone(), 90)));
                let paging = next.map_or(page, Paging::After);
                let page = ask(&opened, &filter, (sort, order), paging, 90);
                by_cursor.extend(ids(&page));
                assert_eq!(page.total, expected.len() as u64);
                next = page.next;
            }
            assert_eq!(next, None, "the last page says so");
            assert_eq!(by_page, expected, "{name} {order:?}");
            assert_eq!(by_cursor, expected, "{name} {order:?}");
        }
    }
    let beyond = ask(&opened, &filter, (Sort::Url, Order::Ascending), Paging::Page(u64::MAX), 90);
    assert!(beyond.records.is_empty() && beyond.next.is_none());
}

#[test]
fn the_largest_and_smallest_numbers_have_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_COMMIT);
    for _ in 0..3 {
        let entry = |bytes_upload| {
            let entry = served(NOON);
            Entry { draft: Draft { bytes_upload, ..entry.draft }, ..entry }
        };
        opened.commit([u64::MAX, 0, 7, u64::MAX].map(entry).into());
    }
    for order in ORDERS {
        let (mut read, mut paging) = (Vec::new(), Some(Paging::Page(1)));
        while let Some(part) = paging {
            let page = ask(&opened, &Filter::default(), (Sort::BytesUpload, order), part, 5);
            read.extend(page.records.iter().map(|record| record.draft.bytes_upload));
            paging = page.next.map(Paging::After);
        }
        let [low, mid, high] = [[0; 3].as_slice(), &[7; 3], &[u64::MAX; 6]];
        let expected = match order {
            Order::Ascending => [low, mid, high].concat(),
            Order::Descending => [high, mid, low].concat(),
        };
        assert_eq!(read, expected);
    }
}

#[test]
fn a_cursor_gives_every_record_once_while_newer_ones_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let (mut opened, _) = filled(dir.path());
    let mut dice = Dice(2);
    let filter = Filter::default();
    for by in [Sort::Timestamp, Sort::Host, Sort::BytesUpload]
        .into_iter()
        .flat_map(|sort| ORDERS.map(|order| (sort, order)))
    {
        let before = all(&opened.store);
        let mut read: Vec<Uuid> = Vec::new();
        let mut paging = Some(Paging::Page(1));
        while let Some(part) = paging {
            let page = ask(&opened, &filter, by, part, 100);
            read.extend(ids(&page));
            paging = page.next.map(|Cursor { id }| Paging::After(Cursor { id }));
            if read.len() < before.len() {
                let newer = Timestamp(NOON.0 + 3 * DAY);
                let arrived: [Entry; 2] = [varied(&mut dice, newer), served(newer)];
                opened.commit(arrived.into());
            }
        }
        let mut once = read.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), read.len(), "{by:?}: some came twice");
        assert!(before.iter().all(|record| once.binary_search(&record.id).is_ok()), "{by:?}");
    }
}
