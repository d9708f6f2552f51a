//! Every field of one record.

use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    frame::{EVENTS, Frame},
    respond,
    viewer::Viewer,
};
use crate::{
    api::{app::App, error::ApiError, export::COLUMNS},
    record::Record,
};

/// Names and values.
type Fields = Vec<(&'static str, String)>;

#[derive(Template)]
#[template(path = "dashboard/record.html")]
struct Page {
    frame: Frame,
    /// Its fields, where there is one.
    found: Result<Fields, String>,
}

/// The page.
pub(super) async fn page(
    State(app): State<App>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Response {
    let found = find(&app, &id).await;
    let status = found.as_ref().map_or_else(|error| error.status, |_| StatusCode::OK);
    let found = found.map(|record| fields(&record)).map_err(|error| error.message);
    respond::page(status, &Page { frame: Frame::new(EVENTS, &viewer), found })
}

async fn find(app: &App, id: &str) -> Result<Record, ApiError> {
    let id: Uuid =
        id.parse().map_err(|_| ApiError::bad_request(format!("id: {id:?} is not a UUID")))?;
    let found = app.ask(move |backend| backend.get(id)).await?;
    found.ok_or_else(|| ApiError::not_found(format!("no record has the id {id}")))
}

/// As the API shows them, in the order of exports.
fn fields(record: &Record) -> Fields {
    let shown = serde_json::to_value(record).unwrap_or_default();
    let field = |name: &'static str| match shown.get(name)? {
        Value::String(text) => Some((name, text.clone())),
        other => Some((name, other.to_string())),
    };
    COLUMNS.iter().filter_map(|name| field(name)).collect()
}
