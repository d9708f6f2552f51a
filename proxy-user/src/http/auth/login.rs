//! Asking for a secret, and taking it.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Response, StatusCode};
use proxy_common::reason::Reason;

use super::{
    Authenticator,
    credentials::{Tried, busy, locked_out},
    decision::{Turned, bad_request},
    form::Form,
    now::Now,
    return_to::ReturnTo,
    same_origin::is_same_origin,
    secrets::Fingerprint,
    session::Opener,
    view::provider,
    visitor::{Guarded, Visitor},
};
use crate::{
    config::{Auth, SecretHash},
    http::pages::{FieldKind, Login, SignOn, SsoButton, respond, retry_after},
    record::AuthMethod,
};

impl Authenticator {
    /// `POST /.weir/login`: a secret out of a form of ours.
    pub(super) async fn login(
        &self,
        visitor: &Visitor<'_>,
        guarded: &Guarded<'_>,
        body: &[u8],
        now: Now,
    ) -> Turned {
        if !is_same_origin(visitor.headers(), visitor.origin) {
            return bad_request(visitor, "This form was not sent from a page of this site.");
        }
        let form = match Form::parse(body) {
            Ok(form) => form,
            Err(error) => return bad_request(visitor, error.text()),
        };
        let Some(hash) = secret(guarded.auth, form.kind) else {
            return bad_request(visitor, "This site does not ask for that.");
        };
        let wanted = (&[hash][..], form.value.as_bytes());
        let method = method(form.kind);
        match self.attempt(visitor, guarded, wanted, now, false).await {
            Tried::Right(hash) => self.signed_in(visitor, guarded, &form, hash, now).await,
            Tried::Wrong => wrong(visitor, guarded, &form),
            Tried::Locked(locked) => locked_out(visitor, locked, method),
            Tried::Busy => busy(visitor, method),
        }
    }

    async fn signed_in(
        &self,
        visitor: &Visitor<'_>,
        guarded: &Guarded<'_>,
        form: &Form,
        hash: &SecretHash,
        now: Now,
    ) -> Turned {
        let opener = match form.kind {
            FieldKind::Password => Opener::Password,
            FieldKind::Pin => Opener::Pin,
        };
        let lifetime = guarded.auth.session_lifetime;
        let secret = Fingerprint::of_secret(hash);
        self.begin(visitor, guarded, (opener, secret, lifetime), &form.return_to, now).await
    }
}

/// Asks to sign in, instead of what was asked for.
pub(super) fn ask(visitor: &Visitor<'_>, guarded: &Guarded<'_>) -> Turned {
    let return_to = ReturnTo::of(visitor.parts);
    let (response, reason) = if let Some(name) = only_provider(guarded.auth) {
        (sign_on(visitor, name, &return_to), Reason::MissingSsoSession)
    } else {
        let status = StatusCode::UNAUTHORIZED;
        (page(visitor, guarded.auth, status, &return_to, None), Reason::LoginRequired)
    };
    Turned::new(response, Some(reason), AuthMethod::None)
}

/// `GET /.weir/login`
pub(super) fn login_page(visitor: &Visitor<'_>, guarded: &Guarded<'_>) -> Turned {
    let return_to = ReturnTo::parse(&visitor.parameter("return_to").unwrap_or_default());
    let response = page(visitor, guarded.auth, StatusCode::OK, &return_to, None);
    Turned::new(response, None, AuthMethod::None)
}

fn wrong(visitor: &Visitor<'_>, guarded: &Guarded<'_>, form: &Form) -> Turned {
    let (error, reason) = match form.kind {
        FieldKind::Password => ("That password is wrong.", Reason::InvalidPassword),
        FieldKind::Pin => ("That PIN is wrong.", Reason::InvalidPin),
    };
    let status = StatusCode::UNAUTHORIZED;
    let wrong = Some((form.kind, error));
    let response = page(visitor, guarded.auth, status, &form.return_to, wrong);
    Turned::new(response, Some(reason), method(form.kind))
}

fn page(
    visitor: &Visitor<'_>,
    auth: &Auth,
    status: StatusCode,
    return_to: &ReturnTo,
    wrong: Option<(FieldKind, &'static str)>,
) -> Response<Bytes> {
    let both = [FieldKind::Password, FieldKind::Pin];
    let kinds: Vec<_> = both.into_iter().filter(|kind| secret(auth, *kind).is_some()).collect();
    let button = provider(auth).map(|p| SsoButton { provider: &p.name, start: return_to.start() });
    let at = (visitor.host, visitor.request_id);
    let page = Login::new(at, return_to.as_str(), &kinds, button, wrong);
    let text = wrong.map_or("401 Sign in first", |(_, error)| error);
    let text = format!("{text}\nRequest {}", visitor.request_id);
    respond(status, visitor.headers(), &page, &text)
}

/// The page that goes on to the provider by itself. It is no redirect: programs that
/// follow those would take the provider's page for an answer.
fn sign_on(visitor: &Visitor<'_>, provider: &str, return_to: &ReturnTo) -> Response<Bytes> {
    let start = return_to.start();
    let (request_id, host) = (visitor.request_id, visitor.host);
    let page = SignOn { request_id, host, provider, start: &start };
    let text = "401 Sign in first: by single sign-on, in a browser";
    let text = format!("{text}\nRequest {request_id}");
    respond(StatusCode::UNAUTHORIZED, visitor.headers(), &page, &text)
}

/// The provider, where nothing else lets anyone in.
fn only_provider(auth: &Auth) -> Option<&str> {
    let others = auth.password.is_some() || auth.pin.is_some() || !auth.headers.is_empty();
    provider(auth).filter(|_| !others).map(|provider| provider.name.as_str())
}

fn secret(auth: &Auth, kind: FieldKind) -> Option<&SecretHash> {
    match kind {
        FieldKind::Password => auth.password.as_ref(),
        FieldKind::Pin => auth.pin.as_ref(),
    }
}

fn method(kind: FieldKind) -> AuthMethod {
    match kind {
        FieldKind::Password => AuthMethod::Password,
        FieldKind::Pin => AuthMethod::Pin,
    }
}

/// Another process has the sessions from now on.
pub(super) fn handed_over(visitor: &Visitor<'_>, method: AuthMethod) -> Turned {
    let mut turned = busy(visitor, method);
    retry_after(&mut turned.response, Duration::from_secs(1));
    turned
}
