//! Who is at the other end of a connection.

use axum::{extract::FromRequestParts, http::StatusCode, http::request::Parts};

use super::{Who, error::ApiError};

/// The other end, an extension of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Over TCP, from this address; a token says who it is.
    Remote(std::net::IpAddr),
    /// Over the control socket; the file's mode let it in.
    Local(Who),
}

/// Who may change things: a [`Peer::Local`]. Others get a 403.
#[derive(Clone, Copy, Debug)]
pub(super) struct Controller(pub(super) Who);

impl<S: Sync> FromRequestParts<S> for Controller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match parts.extensions.get() {
            Some(Peer::Local(who)) => Ok(Self(*who)),
            Some(Peer::Remote(_)) | None => {
                Err(ApiError::new(StatusCode::FORBIDDEN, "only over the control socket weir.sock"))
            }
        }
    }
}
