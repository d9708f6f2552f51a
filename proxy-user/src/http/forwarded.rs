//! What targets are told of the client: the `X-Forwarded-` family, `Forwarded` (RFC 7239).

use std::{fmt::Write, net::IpAddr};

use hyper::{
    HeaderMap,
    header::{FORWARDED, HeaderName, HeaderValue},
};
use parking_lot::Mutex;
use uuid::{Uuid, fmt::Hyphenated};

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
#[derive(Clone, Copy)]
pub(super) struct Hop<'a> {
    /// Of its connection.
    pub(super) lines: &'a Lines,
    pub(super) client: Client,
    /// As asked for, with a port where that was given.
    pub(super) host: &'a str,
    /// What the request is known by.
    pub(super) id: Uuid,
    pub(super) is_tls: bool,
}

/// What requests of a connection are told alike: made once, for all of them.
pub(super) struct Lines {
    peer: IpAddr,
    /// The peer's.
    address: Option<HeaderValue>,
    port: HeaderValue,
    /// Of the host that was asked for last, which for most connections is the only one.
    host: Mutex<Option<OfHost>>,
}

#[derive(Clone)]
struct OfHost {
    host: HeaderValue,
    /// Of `Forwarded`.
    element: HeaderValue,
}

impl Lines {
    /// Of what `peer` sends to a port.
    pub(super) fn of(peer: IpAddr, listen_port: u16) -> Self {
        let peer = peer.to_canonical();
        let (address, port) = (text(&peer), HeaderValue::from(listen_port));
        Self { peer, address, port, host: Mutex::default() }
    }

    /// As it came over `proto`, which is the same on all of a connection.
    fn of_host(&self, host: &str, proto: &str) -> Option<OfHost> {
        let mut last = self.host.lock();
        if last.as_ref().is_none_or(|last| last.host != host) {
            let element = HeaderValue::try_from(element(self.peer, host, proto));
            let (host, element) = (HeaderValue::from_str(host).ok()?, element.ok()?);
            *last = Some(OfHost { host, element });
        }
        last.clone()
    }
}

impl Hop<'_> {
    /// The host, as a line of its own.
    pub(super) fn host_line(&self) -> Option<HeaderValue> {
        self.of_host().map(|of| of.host)
    }

    fn of_host(&self) -> Option<OfHost> {
        self.lines.of_host(self.host, self.proto())
    }

    fn proto(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }
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
    let Lines { peer, address, port, .. } = hop.lines;
    let (host, element) = hop.of_host().map(|of| (of.host, of.element)).unzip();
    let is_peer = hop.client.address == *peer;
    let client = if is_peer { address.clone() } else { text(&hop.client.address) };
    let mut id = [0; Hyphenated::LENGTH];
    let id = HeaderValue::from_str(hop.id.hyphenated().encode_lower(&mut id)).ok();
    let mut append = |name: HeaderName, own: Option<HeaderValue>| {
        let value = own.map(|own| appended(said.get(&name), own));
        insert(headers, name, value);
    };
    append(X_FORWARDED_FOR, address.clone());
    append(FORWARDED, element);
    append(X_REQUEST_ID, id);
    insert(headers, X_REAL_IP, client);
    let mut keep = |name: HeaderName, own: Option<HeaderValue>| {
        let value = said.get(&name).cloned().or(own);
        insert(headers, name, value);
    };
    keep(X_FORWARDED_HOST, host);
    keep(X_FORWARDED_PORT, Some(port.clone()));
    keep(X_FORWARDED_PROTO, Some(HeaderValue::from_static(hop.proto())));
}

fn text(address: &IpAddr) -> Option<HeaderValue> {
    HeaderValue::try_from(address.to_string()).ok()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

fn appended(said: Option<&HeaderValue>, own: HeaderValue) -> HeaderValue {
    let Some(said) = said else { return own };
    let both = [said.as_bytes(), b", ", own.as_bytes()].concat();
    HeaderValue::from_bytes(&both).unwrap_or(own)
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

    use std::net::SocketAddr;

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
        let lines = Lines::of(peer.ip(), 443);
        let hop =
            Hop { lines: &lines, client, host: "app.test:8443", id: Uuid::nil(), is_tls: true };
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

    /// Connections ask for several hosts where one certificate is good for all of them.
    #[test]
    fn each_request_tells_of_its_own_host() {
        let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
        let lines = Lines::of(peer.ip(), 443);
        let client = client(peer, &HeaderMap::new(), &[]);
        for host in ["a.test", "b.test", "b.test", "a.test", ""] {
            let hop = Hop { lines: &lines, client, host, id: Uuid::nil(), is_tls: true };
            let mut headers = HeaderMap::new();
            set(&mut headers, &hop, &Said::default());
            assert_eq!(headers[X_FORWARDED_HOST], host);
            let element = element(peer.ip(), host, "https");
            assert_eq!(headers[FORWARDED], element);
            assert_eq!(element.contains("host="), !host.is_empty());
        }
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
