//! Who a request is from: the peer, or whom trusted proxies name (SPEC 3).

use std::net::{IpAddr, SocketAddr};

use hyper::{HeaderMap, header::HeaderName};
use ipnet::IpNet;

use crate::relay;

/// As proxies name whom they speak for, the last hop last.
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A client, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// Its address, a v4-mapped one unwrapped.
    pub(super) address: IpAddr,
    /// Its port, where that is known.
    pub(super) port: u16,
    /// Whether a private address is to be believed to be the client's own. It is not where
    /// somebody else stands behind it.
    pub(super) exempt: bool,
    /// Whether the peer is a trusted proxy.
    pub(super) through_proxy: bool,
}

impl Client {
    /// As gates are asked.
    pub(super) fn whom(&self) -> relay::Client {
        relay::Client { address: self.address, is_itself: self.exempt }
    }
}

/// The client of a request that `peer` sent.
pub(super) fn client(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let address = peer.ip().to_canonical();
    let lines = headers.get_all(X_FORWARDED_FOR);
    if !is_trusted(address) {
        // Somebody may stand behind a private peer that says so.
        let exempt = lines.iter().next().is_none();
        return Client { address, port: peer.port(), exempt, through_proxy: false };
    }
    let mut client = Client { address, port: peer.port(), exempt: true, through_proxy: true };
    for line in lines.iter().rev() {
        for entry in line.as_bytes().rsplit(|byte| *byte == b',') {
            let entry = entry.trim_ascii();
            if entry.is_empty() {
                continue;
            }
            let Some((address, port)) = std::str::from_utf8(entry).ok().and_then(parse) else {
                return Client { exempt: false, ..client };
            };
            client = Client { address, port, ..client };
            if !is_trusted(address) {
                return client;
            }
        }
    }
    client
}

/// An address, perhaps with a port; one of IPv6 then in brackets.
fn parse(entry: &str) -> Option<(IpAddr, u16)> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    if let Ok(address) = bare.parse::<IpAddr>() {
        let bracketed = bare.len() < entry.len();
        return (!bracketed || address.is_ipv6()).then_some((address.to_canonical(), 0));
    }
    let address: SocketAddr = entry.parse().ok()?;
    Some((address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use hyper::header::HeaderValue;

    use super::*;

    const TRUSTED: [&str; 3] = ["10.0.0.0/8", "2001:db8:a::/48", "192.0.2.10/32"];

    fn found(peer: &str, lines: &[&str]) -> (String, u16, bool) {
        let trusted = TRUSTED.map(|net| net.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let client = client(SocketAddr::new(peer.parse().unwrap(), 4711), &headers, &trusted);
        (client.address.to_string(), client.port, client.exempt)
    }

    /// SPEC 3, sentence by sentence.
    #[test]
    fn the_client_is_whom_the_last_trusted_hop_names() {
        for (peer, lines, address, port, exempt) in [
            // The peer, unless it is trusted.
            ("198.51.100.7", &[][..], "198.51.100.7", 4711, true),
            ("198.51.100.7", &["203.0.113.1"], "198.51.100.7", 4711, false),
            ("::ffff:198.51.100.7", &[], "198.51.100.7", 4711, true),
            ("10.1.1.1", &[], "10.1.1.1", 4711, true),
            // From right to left, over all lines joined.
            ("10.1.1.1", &["203.0.113.1"], "203.0.113.1", 0, true),
            ("10.1.1.1", &["203.0.113.1, 203.0.113.2"], "203.0.113.2", 0, true),
            ("10.1.1.1", &["203.0.113.1", "203.0.113.2"], "203.0.113.2", 0, true),
            ("10.1.1.1", &["203.0.113.1, 10.2.2.2"], "203.0.113.1", 0, true),
            ("10.1.1.1", &["203.0.113.1", "10.2.2.2, 192.0.2.10"], "203.0.113.1", 0, true),
            // Empty entries are skipped.
            ("10.1.1.1", &["203.0.113.1,, ,"], "203.0.113.1", 0, true),
            ("10.1.1.1", &["", " "], "10.1.1.1", 4711, true),
            // An entry may carry a port; v6 then in brackets.
            ("10.1.1.1", &["203.0.113.1:81"], "203.0.113.1", 81, true),
            ("10.1.1.1", &["[2001:db8::1]:82"], "2001:db8::1", 82, true),
            ("10.1.1.1", &["[2001:db8::1]"], "2001:db8::1", 0, true),
            ("10.1.1.1", &["2001:db8::1"], "2001:db8::1", 0, true),
            ("10.1.1.1", &["::ffff:203.0.113.1"], "203.0.113.1", 0, true),
            ("2001:db8:a::1", &["203.0.113.1"], "203.0.113.1", 0, true),
            // At what is no address the walk stops at the last trusted hop.
            ("10.1.1.1", &["203.0.113.1, unknown"], "10.1.1.1", 4711, false),
            ("10.1.1.1", &["203.0.113.1, x, 10.2.2.2"], "10.2.2.2", 0, false),
            ("10.1.1.1", &["203.0.113.1, [10.2.2.2]"], "10.1.1.1", 4711, false),
            ("10.1.1.1", &["\u{ff}"], "10.1.1.1", 4711, false),
            // All trusted: the leftmost.
            ("10.1.1.1", &["10.3.3.3, 10.2.2.2"], "10.3.3.3", 0, true),
        ] {
            let expected = (address.to_owned(), port, exempt);
            assert_eq!(found(peer, lines), expected, "{peer} {lines:?}");
        }
    }
}
