//! For supervisors and load balancers.

use axum::{extract::State, http::StatusCode};

use crate::api::{app::App, error::ApiError};

/// `GET /healthz/live`: it answers, so it lives.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// `GET /healthz/ready`
pub(super) async fn ready(State(app): State<App>) -> Result<&'static str, ApiError> {
    if app.backend.ready() && !app.shutdown.is_cancelled() {
        return Ok("ok\n");
    }
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not ready: /api/status says more"))
}
