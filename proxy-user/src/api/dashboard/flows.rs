//! What is open now.

use std::cmp::Reverse;

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    assets,
    frame::{FLOWS, Frame},
    respond,
    viewer::Viewer,
    words,
};
use crate::api::{Backend, app::App, error::ApiError, model::Flow};

/// Flows that are shown, those of the most bytes.
const MOST: usize = 200;

struct Row {
    flag: Option<String>,
    country: String,
    source: String,
    listen: String,
    age: String,
    idle: String,
    up: String,
    down: String,
    flow: Flow,
}

#[derive(Template)]
#[template(path = "dashboard/flows.html")]
struct Page {
    frame: Frame,
    most: usize,
    rows: Vec<Row>,
    total: usize,
    error: Option<String>,
}

/// The page as it is now; script follows what becomes of it.
pub(super) async fn page(State(app): State<App>, viewer: Viewer) -> Response {
    let frame = Frame::new(FLOWS, &viewer);
    let (status, flows, error) = match app.ask(Backend::flows).await {
        Ok(flows) => (StatusCode::OK, flows, None),
        Err(ApiError { status, message }) => (status, Vec::new(), Some(message)),
    };
    let (total, rows) = (flows.len(), rows(flows));
    respond::page(status, &Page { frame, most: MOST, rows, total, error })
}

fn rows(mut flows: Vec<Flow>) -> Vec<Row> {
    flows.sort_by_key(|flow| Reverse(flow.bytes_upload.saturating_add(flow.bytes_download)));
    flows.truncate(MOST);
    flows.into_iter().map(row).collect()
}

fn row(flow: Flow) -> Row {
    let country = flow.country_code.clone().unwrap_or_default();
    Row {
        flag: assets::flag(&country),
        country,
        source: std::net::SocketAddr::new(flow.source_ip, flow.source_port).to_string(),
        listen: std::net::SocketAddr::new(flow.listen_address, flow.listen_port).to_string(),
        age: words::duration(flow.age_ms),
        idle: words::duration(flow.idle_ms),
        up: words::bytes(flow.bytes_upload),
        down: words::bytes(flow.bytes_download),
        flow,
    }
}
