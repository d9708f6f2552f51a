//! Records: pages, one by its id, summaries.

use axum::{Json, extract::State};
use uuid::Uuid;

use super::segment::Segment;
use crate::{
    api::{
        app::App,
        error::ApiError,
        model::Listing,
        params::{self, Params},
    },
    record::Record,
    store::Paging,
};

/// `GET /api/events/proxy`
pub(super) async fn list(
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

/// `GET /api/events/proxy/{id}`
pub(super) async fn one(
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

/// `GET /api/events/proxy/summary`
pub(super) async fn summary(
    State(app): State<App>,
    mut params: Params,
) -> Result<Json<serde_json::Value>, ApiError> {
    let filter = params::filter(&mut params)?;
    params.finish()?;
    app.ask(move |backend| backend.summary(&filter)).await.map(Json)
}
