//! Activity > Proxy Events.

use std::time::SystemTime;

use askama::Template;
use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};

use super::{
    chips::{ORDER, PAGING},
    form::FilterForm,
    frame::{EVENTS, Frame},
    link::Pairs,
    pager::Pager,
    range,
    record_row::Row,
    respond,
    viewer::Viewer,
};
use crate::{
    api::{app::App, params},
    store::{Page as Found, Query},
};

/// A column of the table.
struct Column {
    /// By which style and script know it.
    key: &'static str,
    label: &'static str,
    /// `sort_by`, where records can be sorted by it.
    sort: &'static str,
    /// Whether it is set flush right.
    number: bool,
}

const fn column(key: &'static str, label: &'static str, sort: &'static str) -> Column {
    Column { key, label, sort, number: false }
}

const fn number(key: &'static str, label: &'static str, sort: &'static str) -> Column {
    Column { key, label, sort, number: true }
}

const COLUMNS: [Column; 14] = [
    column("time", "Time", "timestamp"),
    column("verdict", "Verdict", ""),
    column("location", "Location", ""),
    column("source", "Source IP", "source_ip"),
    column("method", "Method", "method"),
    column("url", "URL", "url"),
    number("status", "Status", "status_code"),
    number("duration", "Duration", "duration"),
    number("up", "Up", "bytes_upload"),
    number("down", "Down", "bytes_download"),
    column("user", "User", "user_id"),
    column("auth", "Auth", "auth_method"),
    column("reason", "Reason", "reason"),
    column("service", "Service", ""),
];

/// Rows of a page, at most.
const MOST_ROWS: usize = 250;

/// The head of a column.
struct Head {
    column: &'static Column,
    /// The page sorted by it, or the other way round.
    href: String,
    /// `aria-sort`, where the page is sorted by it.
    sorted: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "dashboard/events.html")]
struct Page {
    frame: Frame,
    form: FilterForm,
    heads: Vec<Head>,
    rows: Vec<Row>,
    pager: Option<Pager>,
    /// What the API is asked for the same records.
    query: String,
    /// Whether new records belong on top of this page.
    live: bool,
}

/// The page.
pub(super) async fn page(State(app): State<App>, viewer: Viewer, uri: Uri) -> Response {
    let pairs = range::settle(Pairs::of(&uri));
    let frame = Frame::new(EVENTS, &viewer);
    match find(&app, &pairs).await {
        Ok((asked, query, found)) => respond::page(
            StatusCode::OK,
            &Page {
                frame,
                form: FilterForm::new(EVENTS.path, &pairs, None),
                heads: heads(&pairs),
                rows: found.records.iter().map(|record| Row::new(record, &pairs)).collect(),
                pager: Some(Pager::of(&query, &found, &pairs, EVENTS.path)),
                query: filters(&asked),
                live: is_live(&pairs),
            },
        ),
        Err((status, error)) => respond::page(
            status,
            &Page {
                frame,
                form: FilterForm::new(EVENTS.path, &pairs, Some(error)),
                heads: heads(&Pairs::default()),
                rows: Vec::new(),
                pager: None,
                query: String::new(),
                live: false,
            },
        ),
    }
}

type Refused = (StatusCode, String);

async fn find(app: &App, pairs: &Pairs) -> Result<(Pairs, Query, Found), Refused> {
    let bad = |message| (StatusCode::BAD_REQUEST, message);
    let asked = range::resolve(pairs, SystemTime::now()).map_err(bad)?;
    let mut query = params::parse_query(&asked.query()).map_err(bad)?;
    query.page_size = query.page_size.min(MOST_ROWS);
    let wanted = query.clone();
    let found = app.ask(move |backend| backend.query(&wanted)).await;
    let found = found.map_err(|error| (error.status, error.message))?;
    Ok((asked, query, found))
}

/// Without what only says how they are shown.
fn filters(asked: &Pairs) -> String {
    asked.without(&PAGING).without(&ORDER).query()
}

/// The newest come first, and there is no end to them.
fn is_live(pairs: &Pairs) -> bool {
    ["page", "cursor", "end_date", "active_end"].iter().all(|name| pairs.one(name).is_none())
        && pairs.one("sort_by").is_none_or(|key| key.eq_ignore_ascii_case("timestamp"))
        && pairs.one("sort_order").is_none_or(|order| order.eq_ignore_ascii_case("desc"))
}

fn heads(pairs: &Pairs) -> Vec<Head> {
    let by = pairs.one("sort_by").unwrap_or("timestamp").to_lowercase();
    let ascending = pairs.one("sort_order").is_some_and(|order| order.eq_ignore_ascii_case("asc"));
    let head = |column: &'static Column| {
        let here = !column.sort.is_empty() && column.sort == by;
        let order = if here && !ascending { "asc" } else { "desc" };
        let pairs = pairs.without(&PAGING).with("sort_by", column.sort).with("sort_order", order);
        let sorted = if ascending { "ascending" } else { "descending" };
        Head { column, href: pairs.to(EVENTS.path), sorted: here.then_some(sorted) }
    };
    COLUMNS.iter().map(head).collect()
}
