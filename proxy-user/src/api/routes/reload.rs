//! The configuration, read again.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};

use super::input::Input;
use crate::api::{
    app::App,
    description::{Conflicting, Failed, Refused, TooLarge},
    error::ApiError,
    model::{ReloadRequest, Reloaded},
    peer::Controller,
};

/// Read the configuration again.
///
/// Over the control socket `weir.sock` only; over TCP the answer is 403.
/// A faulty file changes nothing; the message of the 400 holds every fault.
#[utoipa::path(
    post,
    path = "/api/reload",
    operation_id = "reload",
    tag = "Control",
    request_body(content = Option<ReloadRequest>),
    responses(
        (status = 200, description = "It is in force.", body = Reloaded),
        Refused,
        Conflicting,
        TooLarge,
        Failed,
    ),
)]
pub(in crate::api) async fn reload(
    State(app): State<App>,
    Controller(who): Controller,
    Input(request): Input<ReloadRequest>,
) -> Result<Json<Reloaded>, ApiError> {
    let confirm = match request.confirm_seconds {
        Some(0) => return Err(ApiError::bad_request("confirm_seconds: 0 leaves no time")),
        seconds => seconds.map(|seconds| Duration::from_secs(seconds.into())),
    };
    app.ask(move |backend| backend.reload(&who, confirm)).await.map(Json)
}

/// Keep the configuration that waits to be confirmed.
///
/// Over the control socket `weir.sock` only; over TCP the answer is 403.
#[utoipa::path(
    post,
    path = "/api/reload/confirm",
    operation_id = "confirmReload",
    tag = "Control",
    responses((status = 204, description = "It stays."), Refused, Conflicting, Failed),
)]
pub(in crate::api) async fn confirm(
    State(app): State<App>,
    Controller(who): Controller,
) -> Result<StatusCode, ApiError> {
    app.ask(move |backend| backend.confirm_reload(&who)).await?;
    Ok(StatusCode::NO_CONTENT)
}
