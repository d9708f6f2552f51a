//! What lies below `/.weir/`, on every service: it is Weir's and never a target's.

use hyper::{
    Method, StatusCode,
    header::{ALLOW, HeaderValue},
};
use proxy_common::reason::Reason;

use super::{
    Authenticator,
    decision::{Turned, problem},
    login::login_page,
    logout::logout_page,
    now::Now,
    return_to::OWN,
    visitor::Visitor,
};
use crate::{http::pages::Hop, record::AuthMethod};

/// The longest body of a request below `/.weir/`, bytes: a form.
pub const LONGEST_FORM: usize = 16 << 10;

/// Whether a path is Weir's own.
pub fn is_own(path: &str) -> bool {
    path.starts_with(OWN) || path == OWN.trim_end_matches('/')
}

impl Authenticator {
    /// Answers a request for which [`is_own`] holds. `body`: at most [`LONGEST_FORM`]
    /// bytes of it.
    pub async fn own(&self, visitor: &Visitor<'_>, body: &[u8]) -> Turned {
        self.own_at(visitor, body, Now::read()).await
    }

    pub(super) async fn own_at(&self, visitor: &Visitor<'_>, body: &[u8], now: Now) -> Turned {
        let path = visitor.parts.uri.path().strip_prefix(OWN).unwrap_or_default();
        let method = &visitor.parts.method;
        let reads = method == Method::GET || method == Method::HEAD;
        let posts = method == Method::POST;
        match (path, visitor.guarded) {
            ("sso/start", guarded) if reads => self.start(visitor, guarded.as_ref(), now).await,
            ("sso/callback", guarded) if reads => {
                self.callback(visitor, guarded.as_ref(), now).await
            }
            ("sso/ticket", Some(guarded)) if reads => self.arrive(visitor, &guarded, now).await,
            ("sso/start" | "sso/callback", _) | ("sso/ticket", Some(_)) => {
                not_by(visitor, "GET, HEAD")
            }
            ("login", Some(guarded)) if posts => self.login(visitor, &guarded, body, now).await,
            ("login", Some(guarded)) if reads => login_page(visitor, &guarded),
            ("logout", Some(guarded)) if posts => self.logout(visitor, &guarded, now).await,
            ("logout", Some(_)) if reads => logout_page(visitor),
            ("login" | "logout", Some(_)) => not_by(visitor, "GET, HEAD, POST"),
            _ => nothing_here(visitor),
        }
    }
}

/// For what Weir does not have, of its own paths.
pub(super) fn nothing_here(visitor: &Visitor<'_>) -> Turned {
    let text = "Weir has no page of that name here.";
    let response = problem(visitor, (StatusCode::NOT_FOUND, None), text, None);
    Turned::new(response, None, AuthMethod::None)
}

fn not_by(visitor: &Visitor<'_>, allowed: &'static str) -> Turned {
    let text = "This page does not answer to that method.";
    let at = (StatusCode::METHOD_NOT_ALLOWED, Some(Hop::Client));
    let mut response = problem(visitor, at, text, None);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    Turned::new(response, Some(Reason::BadRequest), AuthMethod::None)
}
