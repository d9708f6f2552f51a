//! Why an address passes or does not.

use axum::{Json, extract::State};

use crate::api::{
    app::App,
    description::{Failed, Refused},
    error::ApiError,
    params::{self, IpText, Params},
};

/// The policy's answer for an address, and why: of each service, or of the one asked for.
#[utoipa::path(
    get,
    path = "/api/explain",
    operation_id = "explain",
    tag = "Daemon",
    params(
        ("ip" = inline(IpText), Query, description = "The address."),
        ("service" = Option<String>, Query, description = "Only this service."),
        (
            "url" = Option<String>,
            Query,
            description = "Only the service that this URL leads to, and how.",
        ),
    ),
    responses(
        (status = 200, description = "The answers.", body = serde_json::Value),
        Refused,
        Failed,
    ),
)]
pub(in crate::api) async fn explain(
    State(app): State<App>,
    mut params: Params,
) -> Result<Json<serde_json::Value>, ApiError> {
    let ip = params.take("ip")?.ok_or_else(|| ApiError::bad_request("ip: missing"))?;
    let ip = params::address("ip", &ip)?;
    let service = params.take("service")?;
    let url = params.take("url")?;
    params.finish()?;
    app.ask(move |backend| backend.explain(ip, service.as_deref(), url.as_deref())).await.map(Json)
}
