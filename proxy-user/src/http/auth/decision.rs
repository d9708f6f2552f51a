//! What becomes of a request.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{HeaderValue, SET_COOKIE},
};
use proxy_common::reason::Reason;

use super::{lease::Lease, visitor::Visitor};
use crate::{
    http::pages::{Hop, Link, Problem},
    http::sso::User,
    record::AuthMethod,
};

/// Whether a request goes on to its target.
pub enum Decision {
    /// It does.
    Pass(Identity),
    /// Weir answers it.
    Turned(Box<Turned>),
}

/// Of a request that goes on.
#[derive(Clone, Debug)]
pub struct Identity {
    /// How who makes it showed who they are.
    pub method: AuthMethod,
    /// Who that is, where single sign-on tells.
    pub user: Option<Arc<User>>,
    /// How long that holds.
    pub lease: Lease,
}

impl Identity {
    /// Of a request for which nobody has to sign in.
    pub const fn anonymous() -> Self {
        Self { method: AuthMethod::None, user: None, lease: Lease::unlimited() }
    }
}

/// An answer of Weir's own, and what the record says of it.
#[derive(Debug)]
pub struct Turned {
    /// The whole answer.
    pub response: Response<Bytes>,
    /// `None` where nothing was denied and nothing failed.
    pub reason: Option<Reason>,
    /// The method that was used or attempted.
    pub method: AuthMethod,
    /// Who it was, as far as is known.
    pub user: Option<Arc<User>>,
}

impl Turned {
    pub(super) fn new(
        response: Response<Bytes>,
        reason: Option<Reason>,
        method: AuthMethod,
    ) -> Self {
        Self { response, reason, method, user: None }
    }

    pub(super) fn of_user(self, user: Option<Arc<User>>) -> Self {
        Self { user, ..self }
    }

    /// Has the browser keep or forget cookies.
    pub(super) fn cookies(mut self, cookies: impl IntoIterator<Item = HeaderValue>) -> Self {
        for cookie in cookies {
            self.response.headers_mut().append(SET_COOKIE, cookie);
        }
        self
    }
}

impl From<Turned> for Decision {
    fn from(turned: Turned) -> Self {
        Self::Turned(Box::new(turned))
    }
}

/// A page about what cannot be done.
pub(super) fn problem(
    visitor: &Visitor<'_>,
    (status, hop): (StatusCode, Option<Hop>),
    text: &str,
    link: Option<Link<'_>>,
) -> Response<Bytes> {
    let request_id = visitor.request_id;
    Problem { status, hop, text, link, request_id }.respond(visitor.headers())
}

/// For a request that no browser of ours makes.
pub(super) fn bad_request(visitor: &Visitor<'_>, text: &str) -> Turned {
    let response = problem(visitor, (StatusCode::BAD_REQUEST, Some(Hop::Client)), text, None);
    Turned::new(response, Some(Reason::BadRequest), AuthMethod::None)
}
