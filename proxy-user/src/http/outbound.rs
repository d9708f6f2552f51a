//! A request as a target gets it.

use std::sync::Arc;

use hyper::{
    Request, StatusCode, Uri, Version,
    body::{Body, Incoming},
    header::{EXPECT, HOST, HeaderValue, TE, TRANSFER_ENCODING, VIA},
    http::uri::{Authority, PathAndQuery},
};
use proxy_common::reason::Reason;

use super::{
    auth::remove_own_cookies, body::Upload, exchange::Exchange, forward::Going, forwarded, headers,
    pages::Hop as Place, path::stripped, refusal::Refusal,
};
use crate::{
    config::{Scheme, Target},
    relay::Member,
};

/// A request on its way, but for the target that it goes to.
pub(super) struct Outbound {
    pub(super) request: Request<Upload>,
    pub(super) hosts: Hosts,
}

/// What a target is addressed by.
pub(super) struct Hosts {
    path: PathAndQuery,
    /// The host that the client asked for, where targets are to have it.
    asked: Option<HeaderValue>,
    takes_trailers: bool,
}

/// Makes a request of the client's into one of Weir's.
///
/// # Errors
/// It has been here before.
pub(super) fn outbound(
    request: Request<Incoming>,
    going: &Going<'_>,
    exchange: &Exchange,
) -> Result<Outbound, Refusal> {
    let (mut parts, body) = request.into_parts();
    let pseudonym = &going.connection.http.pseudonym;
    if headers::passed(&parts.headers, pseudonym) {
        let text = "The request comes back to where it was sent from.";
        let refusal =
            Refusal::of(Reason::BackendError, StatusCode::LOOP_DETECTED, Place::Target, text);
        return Err(refusal.because("the target sends requests back to Weir"));
    }
    let upgrade = headers::upgrade(&parts.headers);
    let takes_trailers = headers::takes_trailers(&parts.headers);
    let is_asked = going.site.web().is_some_and(|web| web.pass_host_header);
    let asked = is_asked.then(|| going.hop.host_line()).flatten();
    let path = path(&parts.uri, going);
    let all = &mut parts.headers;
    headers::remove_hop_by_hop(all);
    headers::remove_claims(all, &going.passed.credentials);
    remove_own_cookies(all);
    if parts.version == Version::HTTP_2 {
        headers::join_cookies(all);
    }
    // Weir asks for the body as soon as the target takes it.
    all.remove(EXPECT);
    headers::set_upgrade(all, upgrade);
    forwarded::set(all, &going.hop, going.said);
    all.append(VIA, pseudonym.clone());
    all.extend(going.passed.identity.iter().map(|(name, value)| (name.clone(), value.clone())));
    for (name, value) in &going.route.request_headers {
        all.insert(name.clone(), value.clone());
    }
    let pulse = Arc::clone(&going.connection.pulse);
    let credentials = Arc::clone(&going.passed.credentials);
    let upload = Upload::new((body, pulse), exchange.traffic(), credentials);
    let request = Request::from_parts(parts, upload);
    Ok(Outbound { request, hosts: Hosts { path, asked, takes_trailers } })
}

fn path(uri: &Uri, going: &Going<'_>) -> PathAndQuery {
    let whole = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    if !going.route.strip_prefix {
        return whole;
    }
    let path = stripped(whole.path(), &going.route.path);
    let stripped = match whole.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    stripped.unwrap_or(whole)
}

impl Hosts {
    /// Addresses a request to one of the targets.
    pub(super) fn address(
        &self,
        request: &mut Request<Upload>,
        member: &Member,
        scheme: Scheme,
        is_http2: bool,
    ) {
        let host = self.asked.clone().or_else(|| own_host(member.target(), scheme));
        let body = request.body();
        let is_endless = !body.is_end_stream() && body.size_hint().exact().is_none();
        let headers = request.headers_mut();
        headers.remove(TE);
        headers.remove(TRANSFER_ENCODING);
        if !is_http2 {
            if is_endless {
                // hyper would leave it out of a GET, which may have one (RFC 9110, 9.3.1).
                headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
            if let Some(host) = host {
                headers.insert(HOST, host);
            }
            *request.version_mut() = Version::HTTP_11;
            *request.uri_mut() = Uri::from(self.path.clone());
            return;
        }
        headers.remove(HOST);
        if self.takes_trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        *request.version_mut() = Version::HTTP_2;
        let mut parts = hyper::http::uri::Parts::default();
        parts.path_and_query = Some(self.path.clone());
        parts.authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
        parts.scheme = parts.authority.as_ref().and_then(|_| scheme.of_requests().parse().ok());
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
}

/// What a target calls itself.
fn own_host(target: &Target, scheme: Scheme) -> Option<HeaderValue> {
    HeaderValue::try_from(authority(target, scheme)).ok()
}

/// A target as in a URL, without a port that the scheme has anyway.
pub(super) fn authority(target: &Target, scheme: Scheme) -> String {
    let default = scheme.default_port();
    match target {
        Target::Address(address) if address.port() == default => match address.ip() {
            std::net::IpAddr::V4(ip) => ip.to_string(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        },
        Target::Name { host, port } if *port == default => host.clone(),
        target => target.to_string(),
    }
}
