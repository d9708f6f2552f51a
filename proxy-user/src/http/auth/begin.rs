//! A browser signs in: it gets a session, and is known from then on.

use std::time::Duration;

use hyper::{StatusCode, header::HeaderValue};

use super::{
    Authenticator,
    authenticator::is_listed,
    check::{is_for, session_ids},
    cookies::Cookie,
    decision::Turned,
    device::{self, DeviceId},
    journal::Event,
    login::handed_over,
    now::{Now, later},
    return_to::ReturnTo,
    secrets::Fingerprint,
    session::{Facts, Opener, Session, SessionId},
    visitor::{Guarded, Visitor},
};
use crate::http::pages::redirect;

impl Authenticator {
    /// Opens a session by what opens it, for a lifetime; the one that the browser has for
    /// the service, if any, ends.
    pub(super) async fn begin(
        &self,
        visitor: &Visitor<'_>,
        guarded: &Guarded<'_>,
        (opener, secret, lifetime): (Opener, Fingerprint, Duration),
        return_to: &ReturnTo,
        now: Now,
    ) -> Turned {
        let facts = Facts {
            service: guarded.service.to_owned(),
            host: visitor.host.to_owned(),
            client: visitor.client,
            opened: now.wall,
            expires: later(now.wall, lifetime),
            secret,
        };
        let method = opener.method();
        let Ok((id, session)) = self.sessions.open(facts, opener) else {
            return handed_over(visitor, method);
        };
        self.end_earlier(visitor, guarded, now);
        if self.journal.note(Event::SignedIn, &session, None).await.is_err() {
            self.sessions.end(session.key);
            return handed_over(visitor, method);
        }
        let status = StatusCode::SEE_OTHER;
        let (place, request_id) = (return_to.header(), visitor.request_id);
        let response = redirect(status, &place, request_id, visitor.headers());
        // Who is on no list has shown nothing that others do not have, too.
        let device = is_listed(guarded.auth, &session)
            .then(|| self.device_cookie(visitor, guarded, now))
            .flatten();
        let cookies = [Cookie::Session.set(&id.cookie(), lifetime, visitor.secure), device];
        Turned::new(response, None, method)
            .of_user(session.user())
            .cookies(cookies.into_iter().flatten())
    }

    /// The sessions that the browser shows, for the service.
    pub(super) fn shown(
        &self,
        visitor: &Visitor<'_>,
        guarded: &Guarded<'_>,
        now: Now,
    ) -> Vec<std::sync::Arc<Session>> {
        let ids = session_ids(visitor);
        let find = |id: &SessionId| self.sessions.find(id, now.wall);
        ids.iter().filter_map(find).filter(|s| is_for(s, visitor, guarded)).collect()
    }

    fn end_earlier(&self, visitor: &Visitor<'_>, guarded: &Guarded<'_>, now: Now) {
        for session in self.shown(visitor, guarded, now) {
            self.sessions.end(session.key);
        }
    }

    /// The browser stays the one it was, for longer.
    fn device_cookie(
        &self,
        visitor: &Visitor<'_>,
        guarded: &Guarded<'_>,
        now: Now,
    ) -> Option<HeaderValue> {
        let known = device::known(&self.signer, visitor, guarded, now.wall);
        let id = known.or_else(|| DeviceId::new().ok())?;
        let value = device::sign(&self.signer, guarded.service, id, now.wall);
        Cookie::Device.set(&value, device::KNOWN, visitor.secure)
    }
}
