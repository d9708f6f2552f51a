//! The API's description.

use axum::http::header::CONTENT_TYPE;

/// `OpenAPI` 3.1.
pub(in crate::api) const DOCUMENT: &str = include_str!("../openapi.json");

/// `GET /api/openapi.json`
pub(super) async fn document() -> ([(axum::http::HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}
