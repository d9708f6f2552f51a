//! JSON bodies.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::StatusCode,
};
use serde::de::DeserializeOwned;

use crate::api::error::ApiError;

/// A request's body; an empty one is `{}`.
pub(in crate::api) struct Input<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state).await.map_err(|rejection| {
            let message = match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than 64 KiB".to_owned(),
                _ => rejection.body_text(),
            };
            ApiError::new(rejection.status(), message)
        })?;
        let json: &[u8] = if body.is_empty() { b"{}" } else { &body };
        serde_json::from_slice(json)
            .map(Self)
            .map_err(|error| ApiError::bad_request(format!("the body: {error}")))
    }
}
