//! Who is signed in to services, over the control socket.

use axum::{Json, extract::State, http::StatusCode};

use super::segment::Segment;
use crate::api::{
    Backend,
    app::App,
    error::ApiError,
    model::{Data, Session},
    peer::Controller,
};

/// `GET /api/sessions`
pub(super) async fn list(
    State(app): State<App>,
    Controller(_): Controller,
) -> Result<Json<Data<Session>>, ApiError> {
    let data = app.ask(Backend::list_sessions).await?;
    Ok(Json(Data { data }))
}

/// `DELETE /api/sessions/{name}`
pub(super) async fn revoke(
    State(app): State<App>,
    Controller(who): Controller,
    Segment(name): Segment,
) -> Result<StatusCode, ApiError> {
    let wanted = name.clone();
    if app.ask(move |backend| backend.revoke_session(&who, &wanted)).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found(format!("no session has the name {name:?}")))
}
