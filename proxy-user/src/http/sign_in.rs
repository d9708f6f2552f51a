//! Whether a request may pass, by what its sender shows, and what its target learns of it.

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Request, StatusCode, body::Incoming, header::HeaderName, http::request::Parts,
};
use proxy_common::reason::Reason;
use tokio::time::timeout;

use super::{
    auth::{self, Decision, Guarded, LONGEST_FORM, Turned, Visitor},
    connection::Connection,
    exchange::Exchange,
    forwarded::{Hop, Said},
    pages::Hop as Place,
    refusal::Refusal,
    target::Asked,
};
use crate::config::Service;

/// How long a form may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a request came to.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) connection: &'a Connection,
    /// `None`: no service's, but a host that single sign-on comes back to.
    pub(super) service: Option<&'a Service>,
    pub(super) asked: &'a Asked,
    pub(super) hop: Hop<'a>,
    pub(super) said: &'a Said,
}

/// What a target learns, and does not, of who signed in.
pub(super) struct Passed {
    /// Headers that hold what clients sign in with: no target gets them.
    pub(super) credentials: Arc<[HeaderName]>,
    /// Who it is, for the target.
    pub(super) identity: HeaderMap,
}

impl At<'_> {
    fn origin(&self) -> String {
        let scheme = if self.is_secure() { "https" } else { "http" };
        format!("{scheme}://{}", self.asked.authority.to_ascii_lowercase())
    }

    /// Whether the browser speaks TLS, with Weir or with a proxy that is trusted.
    fn is_secure(&self) -> bool {
        self.hop.is_tls || self.said.is_tls().unwrap_or(false)
    }

    fn visitor<'b>(
        &'b self,
        origin: &'b str,
        parts: &'b Parts,
        exchange: &Exchange,
    ) -> Visitor<'b> {
        let guarded = self.service.and_then(|service| {
            let auth = service.web()?.auth.as_ref()?;
            Some(Guarded { service: &service.name, auth })
        });
        Visitor {
            guarded,
            host: &self.asked.host,
            origin,
            client: self.hop.client.address,
            parts,
            request_id: exchange.id(),
            secure: self.is_secure(),
        }
    }
}

/// Answers what is asked of Weir itself, below `/.weir/`.
pub(super) async fn own(
    at: At<'_>,
    exchange: &mut Exchange,
    request: Request<Incoming>,
) -> Refusal {
    let (parts, body) = request.into_parts();
    let body = match form(body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    at.connection.pulse.set_unread(false);
    let origin = at.origin();
    let visitor = at.visitor(&origin, &parts, exchange);
    let turned = at.connection.http.auth.own(&visitor, &body).await;
    turned_away(exchange, turned)
}

/// The whole body, which is a form.
async fn form(body: Incoming) -> Result<bytes::Bytes, Refusal> {
    match timeout(PATIENCE, Limited::new(body, LONGEST_FORM).collect()).await {
        Ok(Ok(form)) => Ok(form.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let (status, text) = (StatusCode::PAYLOAD_TOO_LARGE, "No form is as long as this.");
            Err(Refusal::of(Reason::BadRequest, status, Place::Client, text))
        }
        Ok(Err(error)) => {
            Err(Refusal::bad_request("The form broke off.").because(error.to_string()))
        }
        Err(_) => {
            let (status, text) = (StatusCode::REQUEST_TIMEOUT, "The form did not come.");
            Err(Refusal::of(Reason::BadRequest, status, Place::Client, text))
        }
    }
}

/// Lets a request pass whose sender may, and gives it back.
pub(super) async fn sign_in(
    at: At<'_>,
    exchange: &mut Exchange,
    request: Request<Incoming>,
    public: bool,
) -> Result<(Request<Incoming>, Passed), Refusal> {
    let auth = at.service.and_then(|service| service.web()?.auth.as_ref());
    let Some(auth) = auth else {
        let passed = Passed { credentials: Arc::default(), identity: HeaderMap::new() };
        return Ok((request, passed));
    };
    let credentials = auth::credential_headers(auth).cloned().collect();
    let mut identity = HeaderMap::new();
    if public {
        return Ok((request, Passed { credentials, identity }));
    }
    let (parts, body) = request.into_parts();
    let origin = at.origin();
    let visitor = at.visitor(&origin, &parts, exchange);
    match Box::pin(at.connection.http.auth.check(&visitor)).await {
        Decision::Pass(passes) => {
            let user = passes.user.as_deref();
            exchange.is_by(passes.method, user);
            identity.extend(user.into_iter().flat_map(auth::identity_headers));
            exchange.is_leased(passes.lease);
        }
        Decision::Turned(turned) => return Err(turned_away(exchange, *turned)),
    }
    Ok((Request::from_parts(parts, body), Passed { credentials, identity }))
}

fn turned_away(exchange: &mut Exchange, turned: Turned) -> Refusal {
    exchange.is_by(turned.method, turned.user.as_deref());
    Refusal::made(turned.reason, turned.response)
}
