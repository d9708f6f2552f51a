//! What happened, in charts.

use std::time::SystemTime;

use askama::Template;
use axum::{
    http::{StatusCode, Uri},
    response::Response,
};

use super::{
    chips::{ORDER, PAGING},
    form::FilterForm,
    frame::{EVENTS, Frame, OVERVIEW},
    link::Pairs,
    range, respond,
    viewer::Viewer,
};
use crate::api::params;

/// What is shown where nothing is said of the time.
const DEFAULT_RANGE: &str = "24h";

#[derive(Template)]
#[template(path = "dashboard/overview.html")]
struct Page {
    frame: Frame,
    form: FilterForm,
    /// What the API is asked for the summary.
    query: String,
    /// The same as the page of records takes it.
    records: String,
}

/// The page. Its numbers are fetched by script, so that it is there before them.
pub(super) async fn page(viewer: Viewer, uri: Uri) -> Response {
    // Sums have no order and no pages.
    let given = Pairs::of(&uri).without(&PAGING).without(&ORDER);
    let pairs = with_range(range::settle(given));
    let asked = range::resolve(&pairs, SystemTime::now());
    let asked = asked.and_then(|asked| params::parse_query(&asked.query()).map(|_| asked));
    let (status, query, error) = match asked {
        Ok(asked) => (StatusCode::OK, asked.query(), None),
        Err(error) => (StatusCode::BAD_REQUEST, String::new(), Some(error)),
    };
    respond::page(
        status,
        &Page {
            frame: Frame::new(OVERVIEW, &viewer),
            form: FilterForm::new(OVERVIEW.path, &pairs, error),
            query,
            records: pairs.to(EVENTS.path),
        },
    )
}

fn with_range(pairs: Pairs) -> Pairs {
    let timed = range::MOMENTS.iter().chain([&range::NAME]).any(|name| pairs.one(name).is_some());
    if timed { pairs } else { pairs.and(range::NAME, DEFAULT_RANGE) }
}
