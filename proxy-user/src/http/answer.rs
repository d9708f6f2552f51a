//! One request, from its head to the head of its answer.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::{Body, Incoming},
    header::{ACCEPT, CONNECTION, CONTENT_LENGTH, HeaderValue},
};
use proxy_common::reason::Reason;

use super::{
    auth,
    body::Download,
    connection::Connection,
    exchange::Exchange,
    forward::{Answered, Going, forward},
    forwarded::{Hop, Said},
    forwarded_for::{Client, client},
    pages::{self, Hop as Place},
    path,
    refusal::Refusal,
    sign_in::{At, own, sign_in},
    target::{Asked, asked},
};
use crate::relay::{Intake, Judged, Published, Routes, Site};

/// Where authorities look for what shows control over a domain (RFC 8555, 8.3).
const ACME_CHALLENGE: &str = "/.well-known/acme-challenge/";
/// What lies below it is Weir's own, on every service.
pub(super) const OWN: &str = "/.weir";

/// Answers a request.
pub(super) async fn answer(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Download>, Infallible> {
    connection.asked.store(true, Relaxed);
    let mut exchange = Exchange::begin(&connection, &request);
    connection.pulse.set_unread(!request.body().is_end_stream());
    let accept = request.headers().get(ACCEPT).cloned();
    let is_head = request.method() == Method::HEAD;
    let is_http2 = request.version() == Version::HTTP_2;
    let id = exchange.id();
    Ok(match handle(&connection, &mut exchange, request).await {
        Ok(Answered::Streams(response, way)) => {
            response.map(|body| Download::of_target(body, way, exchange))
        }
        Ok(Answered::Switches(response, switch)) => {
            connection.switches(switch, exchange);
            response.map(|()| Download::none())
        }
        Err(refusal) => {
            exchange.is_refused(&refusal);
            let accept = accept.map(|accept| (ACCEPT, accept)).into_iter().collect();
            let is_bad = refusal.reason == Some(Reason::BadRequest);
            let mut response = refusal.into_response(id, &accept);
            if is_bad && !is_http2 {
                // What follows may have another beginning for others than for Weir.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            exchange.is_answered(response.status());
            page(response, is_head, exchange)
        }
    })
}

/// An answer of Weir's own making.
fn page(
    mut response: Response<Bytes>,
    is_head: bool,
    exchange: Box<Exchange>,
) -> Response<Download> {
    if is_head {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().insert(CONTENT_LENGTH, length);
        *response.body_mut() = Bytes::new();
    }
    response.map(|page| Download::page(page, exchange))
}

async fn handle(
    connection: &Arc<Connection>,
    exchange: &mut Exchange,
    request: Request<Incoming>,
) -> Result<Answered, Refusal> {
    let settings = connection.http.settings.load();
    let client = client(connection.client, request.headers(), &settings.trusted_proxies);
    exchange.is_from(&client, connection.client);
    let asked = asked(&request)?;
    exchange.is_for(&asked.host);
    challenge(connection, &request)?;
    let hop = Hop {
        lines: &connection.lines,
        client,
        host: &asked.authority,
        id: exchange.id(),
        is_tls: connection.tls.is_some(),
    };
    let said = Said::of(request.headers(), &hop);
    let at = At { connection, service: None, asked: &asked, hop, said: &said };
    let (owner, redirects) = match service(connection, &asked) {
        Ok(found) => found,
        Err(_) if is_callback(connection, &asked, &request) => {
            return Err(Box::pin(own(at, exchange, request)).await);
        }
        Err(refusal) => return Err(refusal),
    };
    exchange.is_of(&owner.settings());
    admit(connection, exchange, &owner, &client).await?;
    if redirects {
        return Err(elsewhere(exchange, &asked, &request));
    }
    let Some(site) = owner.site() else { return Err(gone()) };
    let at = At { service: Some(site.settings()), ..at };
    let place = exchange.judged().and_then(Judged::seat);
    exchange.takes(place.ok_or_else(busy)?);
    let Some(place) = route(&site, &request)? else {
        return Err(Box::pin(own(at, exchange, request)).await);
    };
    let Some((route, pool)) = site.routes().nth(place) else { return Err(gone()) };
    let (request, passed) = sign_in(at, exchange, request, route.public).await?;
    let going = Going { connection, site: &site, route, pool, hop, said: &said, passed };
    forward(exchange, request, going).await
}

/// The place of the route that a request takes; `None`: it is for Weir itself.
fn route(site: &Site, request: &Request<Incoming>) -> Result<Option<usize>, Refusal> {
    let routes = site.routes().map(|(route, _)| route.path.as_str());
    let all = std::iter::once(OWN).chain(routes);
    match path::choose(request.uri().path(), all) {
        Ok(Some(place)) => Ok(place.checked_sub(1)),
        Ok(None) => {
            let text = "Nothing is published under this address.";
            Err(Refusal::of(Reason::UnknownHost, StatusCode::NOT_FOUND, Place::Client, text))
        }
        Err(path::Ambiguous) => {
            Err(Refusal::bad_request("The request's path can be read in more than one way."))
        }
    }
}

/// Whether single sign-on comes back here for other hosts.
fn is_callback(connection: &Connection, asked: &Asked, request: &Request<Incoming>) -> bool {
    connection.http.auth.is_callback_host(&asked.host) && auth::is_own(request.uri().path())
}

pub(super) fn busy() -> Refusal {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let text = "So many requests are under way that this one has to wait. Try again soon.";
    Refusal::of(Reason::ConnectionLimit, status, Place::Weir, text)
}

/// What an authority asks for is answered before anybody is judged.
fn challenge(connection: &Connection, request: &Request<Incoming>) -> Result<(), Refusal> {
    let token = request.uri().path().strip_prefix(ACME_CHALLENGE);
    let token = token.filter(|_| connection.tls.is_none());
    match token.and_then(|token| connection.http.certificates.http01(token)) {
        None => Ok(()),
        Some(answer) => Err(Refusal::made(None, Response::new(answer.into()))),
    }
}

/// The service that is asked for, and whether it is on another port.
fn service(connection: &Connection, asked: &Asked) -> Result<(Arc<Published>, bool), Refusal> {
    let routes = connection.house.routes();
    let unknown = |status, text: &'static str| {
        Err(Refusal::of(Reason::UnknownHost, status, Place::Client, text))
    };
    let found = match (routes.host(&asked.host), routes.redirect(&asked.host)) {
        (Some(found), _) => Some((found, false)),
        (None, Some(found)) => Some((found, true)),
        (None, None) => None,
    };
    let Some((found, redirects)) = found else {
        return unknown(StatusCode::NOT_FOUND, "No site of this name is published here.");
    };
    if !is_meant(connection, &routes, found) || found.site().is_none() {
        let text = "The connection was made for another site than the request is for.";
        return unknown(StatusCode::MISDIRECTED_REQUEST, text);
    }
    Ok((Arc::clone(found), redirects))
}

/// Whether the connection was made for that service, or for none by name.
fn is_meant(connection: &Connection, routes: &Routes, found: &Arc<Published>) -> bool {
    let name = connection.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
    let meant = name.map(|name| routes.host(name));
    meant.is_none_or(|meant| meant.is_some_and(|meant| Arc::ptr_eq(meant, found)))
}

/// Judges the client for the service, and waits while no requests are taken.
async fn admit(
    connection: &Connection,
    exchange: &mut Exchange,
    owner: &Arc<Published>,
    client: &Client,
) -> Result<(), Refusal> {
    if connection.house.intake().await == Intake::Refuse {
        let text = "Nothing is served at the moment, because nothing can be recorded.";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let refusal = Refusal::of(Reason::ConnectionLimit, status, Place::Weir, text);
        return Err(
            refusal.because("the store cannot write, and log.on_store_failure is \"refuse\"")
        );
    }
    if !client.exempt && !client.through_proxy {
        connection.http.hidden.warn(&owner.settings(), client.address);
    }
    let judged = connection.house.judge(owner, client.whom());
    exchange.is_admitted(judged.map_err(|(_, reason)| Refusal::denied(reason))?);
    Ok(())
}

/// To the same address over TLS (RFC 9110, 15.4.9).
fn elsewhere(exchange: &Exchange, asked: &Asked, request: &Request<Incoming>) -> Refusal {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let location = format!("https://{}{path}", asked.host);
    let Ok(location) = HeaderValue::try_from(location) else {
        return Refusal::bad_request("The request's path cannot be redirected.");
    };
    let status = StatusCode::PERMANENT_REDIRECT;
    let page = pages::redirect(status, &location, exchange.id(), request.headers());
    Refusal::made(None, page)
}

fn gone() -> Refusal {
    let text = "This site was taken down just now.";
    Refusal::of(Reason::UnknownHost, StatusCode::NOT_FOUND, Place::Weir, text)
}

impl Connection {
    /// Whether a site of that name is reached on the connection's listener.
    pub(super) fn is_host(&self, name: &str) -> bool {
        self.house.routes().host(name).is_some()
    }
}
