//! For supervisors and load balancers.

use axum::{extract::State, http::StatusCode};

use crate::api::{
    app::App,
    description::{Failed, Turned},
    error::ApiError,
};

/// Whether the daemon answers.
#[utoipa::path(
    get,
    path = "/healthz/live",
    operation_id = "live",
    tag = "Health",
    security(()),
    responses(
        (status = 200, description = "It does.", body = String, content_type = "text/plain"),
        Turned,
    ),
)]
pub(in crate::api) async fn live() -> &'static str {
    "ok\n"
}

/// Whether services are up and their policy is in force.
#[utoipa::path(
    get,
    path = "/healthz/ready",
    operation_id = "ready",
    tag = "Health",
    security(()),
    responses(
        (status = 200, description = "They are.", body = String, content_type = "text/plain"),
        Turned,
        Failed,
    ),
)]
pub(in crate::api) async fn ready(State(app): State<App>) -> Result<&'static str, ApiError> {
    if app.backend.ready() && !app.shutdown.is_cancelled() {
        return Ok("ok\n");
    }
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not ready: /api/status says more"))
}
