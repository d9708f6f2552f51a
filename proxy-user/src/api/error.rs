//! How a request fails: `{"message", "code"}` with that status.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{Failure, model::ErrorBody};

/// What a client is told instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Status 400.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Status 404.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { message: self.message, code: self.status.as_u16() };
        (self.status, Json(body)).into_response()
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(message) => Self::bad_request(message),
            Failure::Conflict(message) => Self::new(StatusCode::CONFLICT, message),
            Failure::Unavailable(message) => Self::new(StatusCode::SERVICE_UNAVAILABLE, message),
            Failure::Internal(error) => {
                let error: &(dyn std::error::Error + 'static) = &*error;
                tracing::error!(error, "the API could not answer");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error; the log says more")
            }
        }
    }
}
