//! `/metrics`, made from the status at each scrape.

mod families;
mod sheet;

use axum::{
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};

use super::{
    Backend,
    app::App,
    description::{Failed, Refused},
    error::ApiError,
};

/// What the text is encoded in.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Metrics for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getMetrics",
    tag = "Daemon",
    responses(
        (
            status = 200,
            description = "OpenMetrics text.",
            body = String,
            content_type = "application/openmetrics-text",
        ),
        Refused,
        Failed,
    ),
)]
pub(in crate::api) async fn scrape(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    let ready = app.backend.ready();
    let status = app.ask(Backend::status).await?;
    let text = families::sheet(&status, ready).text().map_err(|_| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written")
    })?;
    Ok(([(CONTENT_TYPE, OPENMETRICS)], text))
}
