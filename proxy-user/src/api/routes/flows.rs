//! What is open now.

use std::cmp::Reverse;

use axum::{Json, extract::State};

use crate::api::{
    Part,
    app::App,
    description::{Failed, Refused},
    error::ApiError,
    model::{Flow, Listing},
    params::{self, PageParameters, Params},
};

/// What is open now, the most bytes first.
#[utoipa::path(
    get,
    path = "/api/flows",
    operation_id = "listFlows",
    tag = "Daemon",
    params(
        (
            "service_id" = Option<Vec<String>>,
            Query,
            description = "Exact, any case. Repeated: any of.",
        ),
        PageParameters,
    ),
    responses((status = 200, description = "The page.", body = Listing<Flow>), Refused, Failed),
)]
pub(in crate::api) async fn list(
    State(app): State<App>,
    mut params: Params,
) -> Result<Json<Listing<Flow>>, ApiError> {
    let services = params.take_all("service_id")?;
    let part = params::part(&mut params)?;
    params.finish()?;
    app.ask(move |backend| {
        let mut flows = backend.flows()?;
        flows.retain(|flow| is_asked_for(flow, &services));
        flows.sort_by_cached_key(|flow| Reverse(place(flow)));
        Ok(page(flows, part))
    })
    .await
    .map(Json)
}

fn is_asked_for(flow: &Flow, services: &[String]) -> bool {
    services.is_empty() || services.iter().any(|name| name.eq_ignore_ascii_case(&flow.service_id))
}

/// Flows of as many bytes keep their order from one answer to the next.
fn place(flow: &Flow) -> (u64, std::net::IpAddr, u16, u16) {
    let bytes = flow.bytes_upload.saturating_add(flow.bytes_download);
    (bytes, flow.source_ip, flow.source_port, flow.listen_port)
}

fn page(flows: Vec<Flow>, part: Part) -> Listing<Flow> {
    let total = flows.len() as u64;
    let skipped = (part.page - 1).saturating_mul(part.page_size as u64);
    let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
    let data = flows.into_iter().skip(skipped).take(part.page_size).collect();
    Listing::of(data, part.page, part.page_size, total)
}
