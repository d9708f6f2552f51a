//! Signing out. A link alone signs nobody out: any site could hold one.

use hyper::StatusCode;

use super::{
    Authenticator,
    cookies::Cookie,
    decision::{Turned, bad_request},
    journal::Event,
    login::handed_over,
    now::Now,
    same_origin::is_same_origin,
    view::provider,
    visitor::{Guarded, Visitor},
};
use crate::{
    http::pages::{Logout, SignedOut, respond},
    record::AuthMethod,
};

impl Authenticator {
    /// `POST /.weir/logout`
    pub(super) async fn logout(
        &self,
        visitor: &Visitor<'_>,
        guarded: &Guarded<'_>,
        now: Now,
    ) -> Turned {
        if !is_same_origin(visitor.headers(), visitor.origin) {
            return bad_request(visitor, "This form was not sent from a page of this site.");
        }
        let sessions = self.shown(visitor, guarded, now);
        for session in &sessions {
            self.sessions.end(session.key);
            if self.journal.note(Event::SignedOut, session, None).await.is_err() {
                return handed_over(visitor, session.holder.method());
            }
        }
        let session = sessions.first();
        let method = session.map_or(AuthMethod::None, |session| session.holder.method());
        let user = session.and_then(|session| session.user());
        let provider = provider(guarded.auth).filter(|_| user.is_some());
        let page = SignedOut {
            request_id: visitor.request_id,
            host: visitor.host,
            provider: provider.map(|provider| provider.name.as_str()),
        };
        let response = respond(StatusCode::OK, visitor.headers(), &page, "signed out");
        Turned::new(response, None, method)
            .of_user(user)
            .cookies(Cookie::Session.clear(visitor.secure))
    }
}

/// `GET /.weir/logout`
pub(super) fn logout_page(visitor: &Visitor<'_>) -> Turned {
    let page = Logout { request_id: visitor.request_id, host: visitor.host };
    let text = "to sign out, POST to this address from a page of this site";
    let response = respond(StatusCode::OK, visitor.headers(), &page, text);
    Turned::new(response, None, AuthMethod::None)
}
