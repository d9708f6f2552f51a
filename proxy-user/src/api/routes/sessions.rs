//! Sessions of users of services, over the control socket.

use axum::{Json, extract::State, http::StatusCode};

use super::segment::Segment;
use crate::api::{
    Backend,
    app::App,
    error::ApiError,
    model::{Data, RevokedSessions, Session},
    params::Params,
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

/// `DELETE /api/sessions?service=`
pub(super) async fn revoke_all(
    State(app): State<App>,
    Controller(who): Controller,
    mut params: Params,
) -> Result<Json<RevokedSessions>, ApiError> {
    let service = params.take("service")?;
    params.finish()?;
    let revoke = move |backend: &dyn Backend| backend.revoke_sessions(&who, service.as_deref());
    Ok(Json(RevokedSessions { revoked: app.ask(revoke).await? }))
}

/// `DELETE /api/sessions/{id}`
pub(super) async fn revoke(
    State(app): State<App>,
    Controller(who): Controller,
    Segment(id): Segment,
) -> Result<StatusCode, ApiError> {
    let wanted = id.clone();
    if app.ask(move |backend| backend.revoke_session(&who, &wanted)).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found(format!("no session has the id {id:?}")))
}
