//! Services, and how the daemon is.

use std::borrow::Borrow;

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    frame::{Frame, SERVICES},
    record_row::Moment,
    respond,
    viewer::Viewer,
    words,
};
use crate::{
    api::{
        Backend,
        app::App,
        error::ApiError,
        model::{RequestStatus, ServiceStatus, Status},
    },
    record::Timestamp,
};

#[derive(Template)]
#[template(path = "dashboard/services.html")]
struct Page {
    frame: Frame,
    status: Result<Status, String>,
}

/// The page.
pub(super) async fn page(State(app): State<App>, viewer: Viewer) -> Response {
    let frame = Frame::new(SERVICES, &viewer);
    let (code, status) = match app.ask(Backend::status).await {
        Ok(status) => (StatusCode::OK, Ok(status)),
        Err(ApiError { status, message }) => (status, Err(message)),
    };
    respond::page(code, &Page { frame, status })
}

/// What a template calls gets values or references, as askama chooses.
impl Page {
    fn moment(at: impl Borrow<Timestamp>) -> Moment {
        Moment::new(*at.borrow())
    }

    fn number(count: impl Borrow<u64>) -> String {
        words::number(*count.borrow())
    }

    fn reason(name: &str) -> &str {
        words::reason_named(name)
    }

    fn requests<'a>(status: &'a Status, service: &ServiceStatus) -> Option<&'a RequestStatus> {
        status.requests.get(&service.name)
    }

    /// How full, in whole percent.
    fn fill(entries: impl Borrow<u64>, capacity: impl Borrow<u64>) -> u64 {
        entries.borrow().saturating_mul(100).checked_div(*capacity.borrow()).unwrap_or(0)
    }
}
