//! The daemon and its services.

use axum::{Json, extract::State};

use crate::api::{
    Backend,
    app::App,
    error::ApiError,
    model::{Data, ServiceStatus, Status},
};

/// `GET /api/status`
pub(super) async fn status(State(app): State<App>) -> Result<Json<Status>, ApiError> {
    app.ask(Backend::status).await.map(Json)
}

/// `GET /api/services`
pub(super) async fn services(
    State(app): State<App>,
) -> Result<Json<Data<ServiceStatus>>, ApiError> {
    let data = app.ask(Backend::status).await?.services;
    Ok(Json(Data { data }))
}
