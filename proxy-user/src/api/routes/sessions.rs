//! Sessions of users of services, over the control socket.

use axum::{Json, extract::State, http::StatusCode};

use super::segment::Segment;
use crate::api::{
    Backend,
    app::App,
    description::{Failed, Missing, Refused},
    error::ApiError,
    model::{Data, RevokedSessions, Session},
    params::Params,
    peer::Controller,
};

/// Sessions of users of services, the newest first.
///
/// Over the control socket `weir.sock` only; over TCP the answer is 403.
#[utoipa::path(
    get,
    path = "/api/sessions",
    operation_id = "listSessions",
    tag = "Control",
    responses(
        (status = 200, description = "Every session that is open.", body = Data<Session>),
        Refused,
        Failed,
    ),
)]
pub(in crate::api) async fn list(
    State(app): State<App>,
    Controller(_): Controller,
) -> Result<Json<Data<Session>>, ApiError> {
    let data = app.ask(Backend::list_sessions).await?;
    Ok(Json(Data { data }))
}

/// Revoke all sessions, or those of one service.
///
/// Over the control socket `weir.sock` only; over TCP the answer is 403.
#[utoipa::path(
    delete,
    path = "/api/sessions",
    operation_id = "revokeSessions",
    tag = "Control",
    params(("service" = Option<String>, Query, description = "Only sessions of this service.")),
    responses(
        (status = 200, description = "They are revoked.", body = RevokedSessions),
        Refused,
        Failed,
    ),
)]
pub(in crate::api) async fn revoke_all(
    State(app): State<App>,
    Controller(who): Controller,
    mut params: Params,
) -> Result<Json<RevokedSessions>, ApiError> {
    let service = params.take("service")?;
    params.finish()?;
    let revoke = move |backend: &dyn Backend| backend.revoke_sessions(&who, service.as_deref());
    Ok(Json(RevokedSessions { revoked: app.ask(revoke).await? }))
}

/// Revoke a session.
///
/// Over the control socket `weir.sock` only; over TCP the answer is 403.
#[utoipa::path(
    delete,
    path = "/api/sessions/{id}",
    operation_id = "revokeSession",
    tag = "Control",
    params(("id" = String, Path, description = "The session's id, as it is listed.")),
    responses((status = 204, description = "It is revoked."), Refused, Missing, Failed),
)]
pub(in crate::api) async fn revoke(
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
