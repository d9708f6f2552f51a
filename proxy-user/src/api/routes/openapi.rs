//! The API's description.

use axum::http::{HeaderName, header::CONTENT_TYPE};

use crate::api::{
    description::{self, Failed, Refused},
    error::ApiError,
};

/// This document.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    operation_id = "getDescription",
    tag = "Daemon",
    responses(
        (status = 200, description = "OpenAPI 3.1.", body = serde_json::Value),
        Refused,
        Failed,
    ),
)]
pub(in crate::api) async fn document()
-> Result<([(HeaderName, &'static str); 1], &'static str), ApiError> {
    Ok(([(CONTENT_TYPE, "application/json")], description::document()?))
}
