//! Signing in.

use std::net::IpAddr;

use askama::Template;
use axum::{
    Extension,
    body::Bytes,
    extract::State,
    http::{
        HeaderMap, StatusCode, Uri,
        header::{RETRY_AFTER, SET_COOKIE},
    },
    response::{IntoResponse, Redirect, Response},
};

use super::{assets, cookie, link::Pairs, origin::Origin, respond, tries::Wrong};
use crate::api::{Visit, app::App, error::ApiError, model::Scope, peer::Peer};

#[derive(Template)]
#[template(path = "dashboard/sign_in.html")]
struct Page<'a> {
    next: &'a str,
    error: Option<&'a str>,
    assets: &'static str,
}

/// The page that asks for a token.
pub(super) async fn page(uri: Uri) -> Response {
    let pairs = Pairs::of(&uri);
    let next = own_path(pairs.one("next").unwrap_or("/"));
    respond::page(StatusCode::OK, &Page { next, error: None, assets: assets::folder() })
}

/// Takes a token.
pub(super) async fn submit(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    origin: Origin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let form = Form::read(&body);
    let from = address(peer);
    let Some(bearer) = app.backend.verify_token(&form.token) else {
        return Ok(wrong(&app, &form, from).await);
    };
    if bearer.scope == Scope::Metrics {
        let error = format!(
            "The token {:?} may read /metrics only. The dashboard needs one of scope read.",
            bearer.name
        );
        return Ok(form.refused(StatusCode::FORBIDDEN, &error));
    }
    let cookie = app.dashboard.sessions.open(&form.token)?;
    note(&app, Visit::SignedIn, &bearer.name, from).await;
    let cookie = cookie::set(&headers, &cookie, origin);
    let mut response = Redirect::to(own_path(&form.next)).into_response();
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}

/// A token of 256 bits is not guessed: what is limited is what wrong ones write into the audit
/// log, and who holds a good one is let in whatever others try from the same address.
async fn wrong(app: &App, form: &Form, from: IpAddr) -> Response {
    if let Some(wait) = app.dashboard.tries.wait(from) {
        let seconds = wait.as_secs() + 1;
        let error = format!("Too many wrong tokens came from {from}. Try again in {seconds} s.");
        let page = form.refused(StatusCode::TOO_MANY_REQUESTS, &error);
        return ([(RETRY_AFTER, seconds.to_string())], page).into_response();
    }
    if app.dashboard.tries.wrong(from) == Wrong::Last {
        note(app, Visit::Refused, "", from).await;
    }
    let error = "This token is unknown, revoked or expired. Was all of it copied?";
    form.refused(StatusCode::FORBIDDEN, error)
}

/// Of who comes and goes, for the audit log. Where that cannot be written just now, people
/// come to find out why.
pub(super) async fn note(app: &App, visit: Visit, name: &str, from: IpAddr) {
    let name = name.to_owned();
    let noted = app.ask(move |backend| backend.note_visit(visit, &name, from)).await;
    if let Err(ApiError { message, .. }) = noted {
        tracing::warn!("a visit of the dashboard is not in the audit log yet: {message}");
    }
}

/// Where a request comes from; over the control socket, from this host.
pub(super) fn address(peer: Peer) -> IpAddr {
    match peer {
        Peer::Remote(address) => address,
        Peer::Local(_) => std::net::Ipv4Addr::LOCALHOST.into(),
    }
}

/// Only a path of ours: a browser takes `//host` and `/\host` for another site.
fn own_path(next: &str) -> &str {
    let safe = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if safe { next } else { "/" }
}

struct Form {
    token: String,
    next: String,
}

impl Form {
    fn read(body: &[u8]) -> Self {
        let mut form = Self { token: String::new(), next: "/".to_owned() };
        for (name, value) in form_urlencoded::parse(body) {
            match &*name {
                "token" => value.trim().clone_into(&mut form.token),
                "next" => form.next = value.into_owned(),
                _ => {}
            }
        }
        form
    }

    fn refused(&self, status: StatusCode, error: &str) -> Response {
        respond::page(
            status,
            &Page { next: own_path(&self.next), error: Some(error), assets: assets::folder() },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for next in ["/flows", "/activity/proxy-events?search=%3C"] {
            assert_eq!(own_path(next), next);
        }
        for next in
            ["", "flows", "//evil.example.com", "/\\evil.example.com", "/\r\nA: b", "https://x"]
        {
            assert_eq!(own_path(next), "/", "{next:?}");
        }
    }
}
