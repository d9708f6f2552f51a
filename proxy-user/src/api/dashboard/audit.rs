//! Activity > Audit.

use askama::Template;
use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};

use super::{
    frame::{AUDIT, Frame},
    link::Pairs,
    pager::Pager,
    record_row::Moment,
    respond,
    viewer::Viewer,
};
use crate::api::{
    AuditPage,
    app::App,
    error::ApiError,
    model::AuditEvent,
    params::{self, Params},
};

struct Row {
    time: Moment,
    /// In words: without underscores.
    event: String,
    who: String,
    details: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "dashboard/audit.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    pager: Option<Pager>,
    error: Option<String>,
}

/// The page.
pub(super) async fn page(State(app): State<App>, viewer: Viewer, uri: Uri) -> Response {
    let frame = Frame::new(AUDIT, &viewer);
    match find(&app, &uri).await {
        Ok((pager, found)) => {
            let rows = found.events.into_iter().map(row).collect();
            respond::page(StatusCode::OK, &Page { frame, rows, pager: Some(pager), error: None })
        }
        Err(error) => respond::page(
            error.status,
            &Page { frame, rows: Vec::new(), pager: None, error: Some(error.message) },
        ),
    }
}

async fn find(app: &App, uri: &Uri) -> Result<(Pager, AuditPage), ApiError> {
    let mut params = Params::of(uri)?;
    let part = params::part(&mut params)?;
    params.finish()?;
    let found = app.ask(move |backend| backend.audit(part)).await?;
    let pairs = Pairs::of(uri);
    Ok((Pager::numbered(part.page, part.page_size, found.total, &pairs, AUDIT.path), found))
}

fn row(event: AuditEvent) -> Row {
    Row {
        time: Moment::new(event.timestamp),
        event: event.event.replace('_', " "),
        who: event.who,
        details: event.details.into_iter().collect(),
    }
}
