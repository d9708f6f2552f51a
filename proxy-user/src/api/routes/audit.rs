//! Weir's own events.

use axum::{Json, extract::State};

use crate::api::{
    app::App,
    description::{Failed, Refused},
    error::ApiError,
    model::{AuditEvent, Listing},
    params::{self, PageParameters, Params},
};

/// What Weir did and what was done to it, newest first.
#[utoipa::path(
    get,
    path = "/api/events/audit",
    operation_id = "listAuditEvents",
    tag = "Daemon",
    params(PageParameters),
    responses(
        (status = 200, description = "The page.", body = Listing<AuditEvent>),
        Refused,
        Failed,
    ),
)]
pub(in crate::api) async fn list(
    State(app): State<App>,
    mut params: Params,
) -> Result<Json<Listing<AuditEvent>>, ApiError> {
    let part = params::part(&mut params)?;
    params.finish()?;
    let found = app.ask(move |backend| backend.audit(part)).await?;
    Ok(Json(Listing::of(found.events, part.page, part.page_size, found.total)))
}
