//! What targets are told of the client: the `X-Forwarded-` family, `Forwarded` (RFC 7239).

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
};

use hyper::{
    HeaderMap,
    header::{FORWARDED, HeaderName, HeaderValue},
};
use uuid::Uuid;

use super::{
    forwarded_for::{Client, X_FORWARDED_FOR},
    headers::joined,
};

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request came with, by Weir's own knowledge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop<'a> {
    pub(super) peer: SocketAddr,
    pub(super) client: Client,
    /// As asked for, with a port where that was given.
    pub(super) host: &'a str,
    pub(super) listen_port: u16,
    /// What the request is known by.
    pub(super) id: Uuid,
    pub(super) is_tls: bool,
}

/// What a trusted proxy said before.
#[derive(Debug, Default)]
pub(super) struct Said {
    lines: Vec<(HeaderName, HeaderValue)>,
}

impl Said {
    /// Of `headers`; of a proxy that is not trusted, nothing is believed.
    pub(super) fn of(headers: &HeaderMap, hop: &Hop<'_>) -> Self {
        if !hop.client.through_proxy {
            return Self::default();
        }
        let line = |name: HeaderName| joined(headers, &name, b", ").map(|line| (name, line));
        let names = [
            X_FORWARDED_FOR,
            X_FORWARDED_HOST,
            X_FORWARDED_PORT,
            X_FORWARDED_PROTO,
            FORWARDED,
            X_REQUEST_ID,
        ];
        Self { lines: names.into_iter().filter_map(line).collect() }
    }

    fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.lines.iter().find(|(said, _)| said == name).map(|(_, value)| value)
    }

    /// How the client came to the proxy, where it said so.
    pub(super) fn is_tls(&self) -> Option<bool> {
        let proto = self.get(&X_FORWARDED_PROTO)?.as_bytes();
        Some(proto.eq_ignore_ascii_case(b"https") || proto.eq_ignore_ascii_case(b"wss"))
    }
}

/// Sets all of it. The hop's own part comes behind what a trusted proxy `said`.
pub(super) fn set(headers: &mut HeaderMap, hop: &Hop<'_>, said: &Said) {
    let peer = hop.peer.ip().to_canonical();
    let proto = if hop.is_tls { "https" } else { "http" };
    let mut address = String::with_capacity(40);
    let _ = write!(address, "{peer}");
    insert(headers, X_FORWARDED_FOR, appended(said.get(&X_FORWARDED_FOR), &address));
    let element = element(peer, hop.host, proto);
    insert(headers, FORWARDED, appended(said.get(&FORWARDED), &element));
    address.clear();
    let _ = write!(address, "{}", hop.client.address);
    insert(headers, X_REAL_IP, HeaderValue::from_str(&address).ok());
    let id = hop.id.hyphenated().to_string();
    insert(headers, X_REQUEST_ID, appended(said.get(&X_REQUEST_ID), &id));
    let kept = |name: HeaderName, own: Option<HeaderValue>| said.get(&name).cloned().or(own);
    let host = kept(X_FORWARDED_HOST, HeaderValue::from_str(hop.host).ok());
    insert(headers, X_FORWARDED_HOST, host);
    let port = kept(X_FORWARDED_PORT, Some(HeaderValue::from(hop.listen_port)));
    insert(headers, X_FORWARDED_PORT, port);
    let proto = kept(X_FORWARDED_PROTO, Some(HeaderValue::from_static(proto)));
    insert(headers, X_FORWARDED_PROTO, proto);
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

fn appended(said: Option<&HeaderValue>, own: &str) -> Option<HeaderValue> {
    match said {
        None => HeaderValue::from_str(own).ok(),
        Some(said) => {
            HeaderValue::from_bytes(&[said.as_bytes(), b", ", own.as_bytes()].concat()).ok()
        }
    }
}

/// An element of `Forwarded`: RFC 7239, 4; addresses of IPv6 are quoted and in brackets.
fn element(peer: IpAddr, host: &str, proto: &str) -> String {
    let mut element = String::with_capacity(96);
    let _ = match peer {
        IpAddr::V4(peer) => write!(element, "for={peer}"),
        IpAddr::V6(peer) => write!(element, "for=\"[{peer}]\""),
    };
    if !host.is_empty() {
        let is_token = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        let quote = if is_token { "" } else { "\"" };
        let _ = write!(element, ";host={quote}{host}{quote}");
    }
    let _ = write!(element, ";proto={proto}");
    element
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::http::forwarded_for::client;

    fn told(peer: &str, sent: &[(&'static str, &str)], trusted: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        let trusted: Vec<_> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let client = client(peer, &headers, &trusted);
        let hop = Hop {
            peer,
            client,
            host: "app.test:8443",
            listen_port: 443,
            id: Uuid::nil(),
            is_tls: true,
        };
        let said = Said::of(&headers, &hop);
        let mut set_headers = HeaderMap::new();
        set(&mut set_headers, &hop, &said);
        let mut lines: Vec<String> = set_headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_an_untrusted_peer_says_is_replaced() {
        let sent = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "ftp"),
            ("forwarded", "for=x"),
        ];
        assert_eq!(
            told("198.51.100.7", &sent, &[]),
            [
                "forwarded: for=198.51.100.7;host=\"app.test:8443\";proto=https",
                "x-forwarded-for: 198.51.100.7",
                "x-forwarded-host: app.test:8443",
                "x-forwarded-port: 443",
                "x-forwarded-proto: https",
                "x-real-ip: 198.51.100.7",
                "x-request-id: 00000000-0000-0000-0000-000000000000",
            ]
        );
    }

    #[test]
    fn what_a_trusted_proxy_says_is_gone_on_with() {
        let sent = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-for", "10.9.9.9"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "outer.test"),
            ("forwarded", "for=203.0.113.9"),
            ("x-request-id", "outer"),
        ];
        assert_eq!(
            told("2001:db8::1", &sent, &["2001:db8::/32", "10.0.0.0/8"]),
            [
                "forwarded: for=203.0.113.9, for=\"[2001:db8::1]\";host=\"app.test:8443\";proto=https",
                "x-forwarded-for: 203.0.113.9, 10.9.9.9, 2001:db8::1",
                "x-forwarded-host: outer.test",
                "x-forwarded-port: 443",
                "x-forwarded-proto: http",
                "x-real-ip: 203.0.113.9",
                "x-request-id: outer, 00000000-0000-0000-0000-000000000000",
            ]
        );
    }
}
