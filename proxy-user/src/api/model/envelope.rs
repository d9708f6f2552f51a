//! What lists and errors are wrapped in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listing<T> {
    /// What is on the page.
    pub data: Vec<T>,
    /// Which page, from 1; 0 where a cursor was followed.
    pub page: u64,
    /// How many fit on one.
    pub page_size: usize,
    /// How many match, over all pages.
    pub total_records: u64,
    /// How many pages they fill.
    pub total_pages: u64,
    /// Where the next page begins; absent on the last, and where lists have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
}

impl<T> Listing<T> {
    /// A page without a cursor.
    pub fn of(data: Vec<T>, page: u64, page_size: usize, total_records: u64) -> Self {
        let total_pages = total_records.div_ceil(page_size.max(1) as u64);
        Self { data, page, page_size, total_records, total_pages, next_cursor: None }
    }
}

/// A list that is never long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Data<T> {
    /// All of it.
    pub data: Vec<T>,
}

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody {
    /// For people.
    pub message: String,
    /// The HTTP status.
    pub code: u16,
}
