//! Weir's own events.

use axum::{Json, extract::State};

use crate::api::{
    app::App,
    error::ApiError,
    model::{AuditEvent, Listing},
    params::{self, Params},
};

/// `GET /api/events/audit`
pub(super) async fn list(
    State(app): State<App>,
    mut params: Params,
) -> Result<Json<Listing<AuditEvent>>, ApiError> {
    let part = params::part(&mut params)?;
    params.finish()?;
    let found = app.ask(move |backend| backend.audit(part)).await?;
    Ok(Json(Listing::of(found.events, part.page, part.page_size, found.total)))
}
