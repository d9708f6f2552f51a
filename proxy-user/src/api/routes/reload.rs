//! The configuration, read again.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};

use super::input::Input;
use crate::api::{
    app::App,
    error::ApiError,
    model::{ReloadRequest, Reloaded},
    peer::Controller,
};

/// `POST /api/reload`
pub(super) async fn reload(
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

/// `POST /api/reload/confirm`
pub(super) async fn confirm(
    State(app): State<App>,
    Controller(who): Controller,
) -> Result<StatusCode, ApiError> {
    app.ask(move |backend| backend.confirm_reload(&who)).await?;
    Ok(StatusCode::NO_CONTENT)
}
