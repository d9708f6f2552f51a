//! The daemon and its services.

use axum::{Json, extract::State};

use crate::api::{
    Backend,
    app::App,
    description::{Failed, Refused},
    error::ApiError,
    model::{Data, ServiceStatus, Status},
};

/// How the daemon is.
#[utoipa::path(
    get,
    path = "/api/status",
    operation_id = "getStatus",
    tag = "Daemon",
    responses((status = 200, description = "The status.", body = Status), Refused, Failed),
)]
pub(in crate::api) async fn status(State(app): State<App>) -> Result<Json<Status>, ApiError> {
    app.ask(Backend::status).await.map(Json)
}

/// Every service.
#[utoipa::path(
    get,
    path = "/api/services",
    operation_id = "listServices",
    tag = "Daemon",
    responses(
        (status = 200, description = "The services.", body = Data<ServiceStatus>),
        Refused,
        Failed,
    ),
)]
pub(in crate::api) async fn services(
    State(app): State<App>,
) -> Result<Json<Data<ServiceStatus>>, ApiError> {
    let data = app.ask(Backend::status).await?.services;
    Ok(Json(Data { data }))
}
