//! The variable part of a path.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::api::error::ApiError;

/// The one `{...}` of a route, decoded.
pub(in crate::api) struct Segment(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Path::from_request_parts(parts, state)
            .await
            .map(|Path(segment)| Self(segment))
            .map_err(|rejection| ApiError::new(rejection.status(), rejection.body_text()))
    }
}
