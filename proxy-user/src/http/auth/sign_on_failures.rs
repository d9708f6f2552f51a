//! What a browser is told when single sign-on does not work. Nobody has a session then,
//! which is what the record says.

use std::{sync::Arc, time::Duration};

use hyper::StatusCode;
use proxy_common::reason::Reason;

use super::{
    credentials::busy,
    decision::{Turned, problem},
    return_to::ReturnTo,
    visitor::Visitor,
};
use crate::{
    http::{
        pages::{Hop, Link, retry_after},
        sso::{SsoError, StateFault, User},
    },
    record::AuthMethod,
};

/// When a provider that does not answer may be tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// `again`: where to begin anew.
pub(super) fn failed(visitor: &Visitor<'_>, error: &SsoError, again: &str) -> Turned {
    let (status, hop, reason, what) = match error {
        SsoError::Unreachable { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            Some(Hop::Provider),
            Reason::MissingSsoSession,
            "The sign-in service cannot be reached",
        ),
        SsoError::Refused { .. } => (
            StatusCode::FORBIDDEN,
            None,
            Reason::SsoDenied,
            "The sign-in service did not sign you in",
        ),
        SsoError::State(_) => (
            StatusCode::BAD_REQUEST,
            Some(Hop::Client),
            Reason::BadRequest,
            "This way of signing in cannot be finished",
        ),
        SsoError::Host(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Some(Hop::Weir),
            Reason::MissingSsoSession,
            "You cannot be signed in just now",
        ),
        SsoError::Invalid { .. } => (
            StatusCode::BAD_GATEWAY,
            Some(Hop::Provider),
            Reason::MissingSsoSession,
            "The sign-in service gave an answer that cannot be believed",
        ),
    };
    let link = Some(Link { href: again, text: "Sign in again" });
    let response = problem(visitor, (status, hop), &format!("{what}: {error}."), link);
    let mut turned = Turned::new(response, Some(reason), AuthMethod::Oidc);
    if let SsoError::Unreachable { .. } | SsoError::Host(_) = error {
        retry_after(&mut turned.response, AGAIN);
    }
    turned
}

/// For a link, a callback or a ticket that this browser did not set out by, or too long
/// ago.
pub(super) fn not_from_here(visitor: &Visitor<'_>) -> Turned {
    failed(visitor, &StateFault::Missing.into(), "/")
}

/// For who is on no list, in a browser that somebody is signed in with who may come.
pub(super) fn not_listed(visitor: &Visitor<'_>, user: User, back: &ReturnTo) -> Turned {
    let name = user.name();
    let text = format!(
        "{name} is not among those that may come here. You are still signed in as you were \
         before."
    );
    let link = Some(Link { href: back.as_str(), text: "Go on as before" });
    let response = problem(visitor, (StatusCode::FORBIDDEN, None), &text, link);
    let user = Some(Arc::new(user));
    Turned::new(response, Some(Reason::SsoDenied), AuthMethod::Oidc).of_user(user)
}

pub(super) fn no_randomness(visitor: &Visitor<'_>) -> Turned {
    busy(visitor, AuthMethod::Oidc)
}
