//! What both stores are asked.

use anyhow::Result;
use proxy_common::country::Country;
use proxy_user::{
    record::{Record, Source, Timestamp},
    store::{Cursor, Filter, Order, Paging, Query, Sort, Status, Store},
};

use crate::generate::{COMMON, RARE};

/// A question, for both.
pub(crate) struct Question {
    pub(crate) name: &'static str,
    pub(crate) ours: Ours,
    pub(crate) sql: Vec<String>,
}

/// How Weir's store is asked.
pub(crate) enum Ours {
    Page(Box<Query>),
    Summary(Box<Filter>),
}

impl Ours {
    /// How many match.
    pub(crate) fn ask(&self, store: &Store) -> Result<u64> {
        Ok(match self {
            Self::Page(query) => store.query(query)?.total,
            Self::Summary(filter) => store.summary(filter)?.total_records,
        })
    }
}

fn query(filter: Filter, paging: Paging) -> Query {
    Query { filter, sort: Sort::Timestamp, order: Order::Descending, paging, page_size: 50 }
}

fn page(name: &'static str, filter: Filter, condition: &str) -> Question {
    Question {
        name,
        ours: Ours::Page(Box::new(query(filter, Paging::Page(1)))),
        sql: vec![
            format!("SELECT count(*) FROM access_log_entries WHERE {condition}"),
            format!(
                "SELECT * FROM access_log_entries WHERE {condition} ORDER BY timestamp DESC LIMIT 50"
            ),
        ],
    }
}

/// The questions about what `store` holds up to `end`.
pub(crate) fn all(store: &Store, end: Timestamp) -> Result<Vec<Question>> {
    let any = Filter::default;
    let day = Timestamp(end.0 - 24 * 3600 * 1000);
    let (from, to) =
        (Timestamp(end.0 - 3 * 24 * 3600 * 1000), Timestamp(end.0 - 2 * 24 * 3600 * 1000));
    let de = Country::from_code(b"DE");
    let (address, prefix) = client(store)?;
    let cursor = deep(store)?;
    let search = |part: &str| {
        format!("(host LIKE '%{part}%' OR path LIKE '%{part}%' OR user_id LIKE '%{part}%')")
    };
    let searching = |part: &str| Filter { search: Some(part.to_owned()), ..any() };
    let mut questions = vec![
        page("newest 50", any(), "1"),
        page(
            "by source IP",
            Filter { source_ip: vec![format!("{address}/32").parse()?], ..any() },
            &format!("source_ip = '{address}'"),
        ),
        page(
            "by CIDR",
            Filter { source_ip: vec![format!("{prefix}.0.0/16").parse()?], ..any() },
            &format!("source_ip LIKE '{prefix}.%'"),
        ),
        page(
            "by status failed",
            Filter { status: Some(Status::Failed), ..any() },
            "(verdict <> 'allowed' OR status_code >= 400)",
        ),
        page(
            "by country and day",
            Filter {
                country_code: de.into_iter().collect(),
                start: Some(from),
                end: Some(to),
                ..any()
            },
            &format!("country_code = 'DE' AND timestamp BETWEEN {} AND {}", from.0, to.0),
        ),
        page(
            "by service",
            Filter { service_id: vec!["grafana".into()], ..any() },
            "service_id = 'grafana'",
        ),
        page("search, rare", searching(RARE), &search(RARE)),
        page("search, common", searching(COMMON), &search(COMMON)),
    ];
    questions.insert(
        1,
        Question {
            name: "page 1,000 by cursor",
            ours: Ours::Page(Box::new(query(any(), Paging::After(Cursor { id: cursor.id })))),
            sql: vec![
                "SELECT count(*) FROM access_log_entries".into(),
                format!(
                    "SELECT * FROM access_log_entries WHERE timestamp < {} \
                     ORDER BY timestamp DESC LIMIT 50",
                    cursor.draft.timestamp.0
                ),
            ],
        },
    );
    questions.push(summary(day));
    Ok(questions)
}

/// Count and summary over the last 24 hours.
fn summary(day: Timestamp) -> Question {
    let since = format!("FROM access_log_entries WHERE timestamp >= {}", day.0);
    let top = |column: &str| {
        format!("SELECT {column}, count(*) AS n {since} GROUP BY 1 ORDER BY n DESC LIMIT 10")
    };
    let mut sql = vec![
        format!("SELECT count(*) {since}"),
        format!(
            "SELECT timestamp / 900000, protocol = 'http', verdict, count(*), sum(bytes_upload), \
         sum(bytes_download) {since} GROUP BY 1, 2, 3"
        ),
    ];
    sql.extend(["service_id", "source_ip", "country_code", "reason", "status_code / 100"].map(top));
    let filter = Filter { start: Some(day), ..Filter::default() };
    Question { name: "count and summary over 24 h", ours: Ours::Summary(Box::new(filter)), sql }
}

/// A client that comes often, and its /16.
fn client(store: &Store) -> Result<(String, String)> {
    let page =
        store.query(&Query { page_size: 1000, ..query(Filter::default(), Paging::Page(1)) })?;
    let v4 = |record: &Record| match record.draft.source {
        Source::Address(address) if address.is_ipv4() => Some(address.to_string()),
        _ => None,
    };
    let mut seen: Vec<String> = page.records.iter().filter_map(v4).collect();
    seen.sort_unstable();
    let often = |address: &&String| seen.iter().filter(|other| other == address).count();
    let address = seen.iter().max_by_key(often).cloned().unwrap_or_default();
    let prefix = address.rsplitn(3, '.').last().unwrap_or_default().to_owned();
    Ok((address, prefix))
}

/// The last record of page 1,000.
fn deep(store: &Store) -> Result<Record> {
    let mut paging = Paging::Page(1);
    for _ in 0..50 {
        let page = store.query(&Query { page_size: 1000, ..query(Filter::default(), paging) })?;
        match page.next {
            Some(next) => paging = Paging::After(next),
            None => return Ok(page.records.into_iter().next_back().unwrap_or_else(nothing)),
        }
    }
    let page = store.query(&Query { page_size: 1, ..query(Filter::default(), paging) })?;
    Ok(page.records.into_iter().next().unwrap_or_else(nothing))
}

fn nothing() -> Record {
    panic!("the store has no records")
}
