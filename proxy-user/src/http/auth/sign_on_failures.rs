//! What a browser is told when single sign-on does not work. Nobody has a session then,
//! which is what the record says.

use std::time::Duration;

use hyper::StatusCode;
use proxy_common::reason::Reason;

use super::{
    credentials::busy,
    decision::{Turned, problem},
    sign_on::SignOnError,
    visitor::Visitor,
};
use crate::{
    http::pages::{Hop, Link, retry_after},
    record::AuthMethod,
};

/// When a provider that does not answer may be tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// `again`: where to begin anew.
pub(super) fn failed(visitor: &Visitor<'_>, error: &SignOnError, again: &str) -> Turned {
    let (status, hop, reason, what) = match error {
        SignOnError::Unreachable(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Some(Hop::Provider),
            Reason::MissingSsoSession,
            "The sign-in service cannot be reached",
        ),
        SignOnError::Refused(_) => (
            StatusCode::FORBIDDEN,
            None,
            Reason::SsoDenied,
            "The sign-in service did not sign you in",
        ),
        SignOnError::State(_) => (
            StatusCode::BAD_REQUEST,
            Some(Hop::Client),
            Reason::BadRequest,
            "This way of signing in cannot be finished",
        ),
        SignOnError::Host(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Some(Hop::Weir),
            Reason::MissingSsoSession,
            "You cannot be signed in just now",
        ),
        SignOnError::Invalid(_) => (
            StatusCode::BAD_GATEWAY,
            Some(Hop::Provider),
            Reason::MissingSsoSession,
            "The sign-in service gave an answer that cannot be believed",
        ),
    };
    let link = Some(Link { href: again, text: "Sign in again" });
    let response = problem(visitor, (status, hop), &format!("{what}: {error}."), link);
    let mut turned = Turned::new(response, Some(reason), AuthMethod::Oidc);
    if let SignOnError::Unreachable(_) | SignOnError::Host(_) = error {
        retry_after(&mut turned.response, AGAIN);
    }
    turned
}

/// For a link, a callback or a ticket that this browser did not set out by, or too long
/// ago.
pub(super) fn not_from_here(visitor: &Visitor<'_>) -> Turned {
    let why = "it was begun too long ago, or in another browser";
    failed(visitor, &SignOnError::State(why.to_owned()), "/")
}

pub(super) fn no_randomness(visitor: &Visitor<'_>) -> Turned {
    busy(visitor, AuthMethod::Oidc)
}
