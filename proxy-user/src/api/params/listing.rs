//! Order and pages.

use std::num::IntErrorKind;

use super::{Params, filter, value::read};
use crate::{
    api::{Part, error::ApiError},
    store::{Cursor, Order, Paging, Query, Sort},
};

const DEFAULT_PAGE_SIZE: usize = 50;
const MAX_PAGE_SIZE: usize = 1000;
/// Records up to the end of a page by number, all of which have to be gathered for it.
pub(in crate::api) const MAX_REACH: u64 = 100_000;

/// The whole of `/api/events/proxy`.
pub(in crate::api) fn query(mut params: Params) -> Result<Query, ApiError> {
    let query = Query {
        filter: filter(&mut params)?,
        sort: params.take("sort_by")?.map_or(Ok(Sort::default()), |value| sort(&value))?,
        order: params.take("sort_order")?.map_or(Ok(Order::default()), |value| order(&value))?,
        paging: paging(&mut params)?,
        page_size: page_size(&mut params)?,
    };
    params.finish()?;
    if let Paging::Page(page) = query.paging
        && page.saturating_mul(query.page_size as u64) > MAX_REACH
    {
        let message = format!("page: ends beyond record {MAX_REACH}; use cursor to read on");
        return Err(ApiError::bad_request(message));
    }
    Ok(query)
}

/// Takes a list's page out of `params`.
pub(in crate::api) fn part(params: &mut Params) -> Result<Part, ApiError> {
    Ok(Part { page: page(params)?.unwrap_or(1), page_size: page_size(params)? })
}

fn paging(params: &mut Params) -> Result<Paging, ApiError> {
    match (page(params)?, params.take("cursor")?) {
        (Some(_), Some(_)) => Err(ApiError::bad_request("cursor: excludes page")),
        (page, None) => Ok(Paging::Page(page.unwrap_or(1))),
        (None, Some(cursor)) => read("cursor", &cursor, "a next_cursor", |value| {
            value.parse().ok().map(|id| Paging::After(Cursor { id }))
        }),
    }
}

fn page(params: &mut Params) -> Result<Option<u64>, ApiError> {
    let Some(value) = params.take("page")? else { return Ok(None) };
    read("page", &value, "a number from 1", |value| match value.parse::<u64>() {
        Ok(0) => None,
        Ok(page) => Some(page),
        // It ends beyond every list.
        Err(error) => (*error.kind() == IntErrorKind::PosOverflow).then_some(u64::MAX),
    })
    .map(Some)
}

fn page_size(params: &mut Params) -> Result<usize, ApiError> {
    let Some(value) = params.take("page_size")? else { return Ok(DEFAULT_PAGE_SIZE) };
    read("page_size", &value, "a number from 1", |value| match value.parse::<usize>() {
        Ok(0) => None,
        Ok(size) => Some(size.min(MAX_PAGE_SIZE)),
        Err(error) => (*error.kind() == IntErrorKind::PosOverflow).then_some(MAX_PAGE_SIZE),
    })
}

fn sort(value: &str) -> Result<Sort, ApiError> {
    let known = Sort::ALL.map(|(_, name)| name).join(", ");
    read("sort_by", value, &format!("one of {known}"), |value| {
        Sort::ALL
            .into_iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(value))
            .map(|(sort, _)| sort)
    })
}

fn order(value: &str) -> Result<Order, ApiError> {
    read("sort_order", value, "asc or desc", |value| match value.to_ascii_lowercase().as_str() {
        "asc" => Some(Order::Ascending),
        "desc" => Some(Order::Descending),
        _ => None,
    })
}
