//! Records: pages, one by its id, summaries.

use axum::{Json, extract::State};
use uuid::Uuid;

use super::segment::Segment;
use crate::{
    api::{
        app::App,
        description::{Failed, Missing, Refused},
        error::ApiError,
        model::Listing,
        params::{self, FilterParameters, Params, RecordPageParameters},
    },
    record::Record,
    store::Paging,
};

/// A page of records.
///
/// An empty value is an absent parameter. Filters of different names must all match.
#[utoipa::path(
    get,
    path = "/api/events/proxy",
    operation_id = "listRecords",
    tag = "Records",
    params(FilterParameters, RecordPageParameters),
    responses((status = 200, description = "The page.", body = Listing<Record>), Refused, Failed),
)]
pub(in crate::api) async fn list(
    State(app): State<App>,
    params: Params,
) -> Result<Json<Listing<Record>>, ApiError> {
    let query = params::query(params)?;
    let (page_size, page) = (query.page_size, page_number(&query.paging));
    let found = app.ask(move |backend| backend.query(&query)).await?;
    Ok(Json(Listing {
        next_cursor: found.next.map(|cursor| cursor.id.to_string()),
        ..Listing::of(found.records, page, page_size, found.total)
    }))
}

fn page_number(paging: &Paging) -> u64 {
    match paging {
        Paging::Page(page) => *page,
        Paging::After(_) => 0,
    }
}

/// One record.
#[utoipa::path(
    get,
    path = "/api/events/proxy/{id}",
    operation_id = "getRecord",
    tag = "Records",
    params(("id" = Uuid, Path, description = "The record's id.")),
    responses(
        (status = 200, description = "The record.", body = Record),
        Refused,
        Missing,
        Failed,
    ),
)]
pub(in crate::api) async fn one(
    State(app): State<App>,
    Segment(id): Segment,
) -> Result<Json<Record>, ApiError> {
    let id: Uuid =
        id.parse().map_err(|_| ApiError::bad_request(format!("id: {id:?} is not a UUID")))?;
    app.ask(move |backend| backend.get(id))
        .await?
        .map(Json)
        .ok_or_else(|| ApiError::not_found(format!("no record has the id {id}")))
}

/// Time series and top lists of records.
#[utoipa::path(
    get,
    path = "/api/events/proxy/summary",
    operation_id = "summariseRecords",
    tag = "Records",
    params(FilterParameters),
    responses(
        (status = 200, description = "The summary.", body = serde_json::Value),
        Refused,
        Failed,
    ),
)]
pub(in crate::api) async fn summary(
    State(app): State<App>,
    mut params: Params,
) -> Result<Json<serde_json::Value>, ApiError> {
    let filter = params::filter(&mut params)?;
    params.finish()?;
    app.ask(move |backend| backend.summary(&filter)).await.map(Json)
}
