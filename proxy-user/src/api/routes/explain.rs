//! Why an address passes or does not.

use axum::{Json, extract::State};

use crate::api::{
    app::App,
    error::ApiError,
    params::{self, Params},
};

/// `GET /api/explain?ip=&service=&url=`
pub(super) async fn explain(
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
