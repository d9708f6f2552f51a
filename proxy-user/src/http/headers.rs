//! Headers on their way through: what concerns one connection alone stays behind, and so
//! does what a client might make a target believe.

use hyper::{
    HeaderMap,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
        COOKIE, EXPECT, HOST, HeaderName, HeaderValue, MAX_FORWARDS, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, RANGE, SET_COOKIE, TE, TRANSFER_ENCODING, UPGRADE, VIA,
    },
};

use super::auth::sets_own_cookie;

/// Headers of one connection (RFC 9110, 7.6.1), whether `Connection` names them or not.
/// `Trailer` is none of them: over HTTP/1.1 only those trailers go on that it announces.
static HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What says to whom a request goes, who sent it or how long it is, and so comes before a
/// body or not at all (RFC 9110, 6.5.1).
static NOT_IN_TRAILERS: [HeaderName; 10] = [
    AUTHORIZATION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    EXPECT,
    HOST,
    MAX_FORWARDS,
    RANGE,
];

/// What Weir alone tells targets, by [`is_same`].
const OURS: [&str; 9] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-real-ip",
    "x-request-id",
];

/// The entries of a header that is a list, over all its lines (RFC 9110, 5.6.1).
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// Whether one of them is that word, in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    listed(headers, name).any(|entry| entry.eq_ignore_ascii_case(word.as_bytes()))
}

/// All lines of a header in one.
pub(super) fn joined(
    headers: &HeaderMap,
    name: &HeaderName,
    separator: &'static [u8],
) -> Option<HeaderValue> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&lines.join(separator)).ok()
}

/// Removes what concerns the connection that `headers` came on.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = listed(headers, &CONNECTION)
        // What most servers name, and goes anyway.
        .filter(|name| !name.eq_ignore_ascii_case(b"keep-alive"))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    remove(headers, |name| HOP_BY_HOP.contains(name));
}

/// Most messages have few headers, and of these hardly any: looking at each is cheaper than
/// looking for each of a few names.
fn remove(headers: &mut HeaderMap, is_gone: impl Fn(&HeaderName) -> bool) {
    let gone: Vec<HeaderName> = headers.keys().filter(|name| is_gone(name)).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Removes what a request's trailers cannot say.
pub(super) fn clean_trailers(trailers: &mut HeaderMap, credentials: &[HeaderName]) {
    remove_claims(trailers, credentials);
    remove_hop_by_hop(trailers);
    remove(trailers, |name| NOT_IN_TRAILERS.contains(name));
}

/// Removes what a client may not tell a target: what Weir says of it, and the headers that
/// hold its `credentials`.
pub(super) fn remove_claims(headers: &mut HeaderMap, credentials: &[HeaderName]) {
    remove(headers, |name| {
        let name = name.as_str();
        is_ours(name) || credentials.iter().any(|credential| is_same(name, credential.as_str()))
    });
}

fn is_ours(name: &str) -> bool {
    const PREFIX: &str = "x-weir-";
    let begins = name.get(..PREFIX.len()).is_some_and(|start| is_same(start, PREFIX));
    begins || OURS.iter().any(|ours| is_same(name, ours))
}

/// Whether they are one name to a target that takes `_` for `-`, as CGI does (RFC 3875,
/// 4.1.18). Both are in lower case.
fn is_same(one: &str, other: &str) -> bool {
    let folded = |byte: u8| if byte == b'_' { b'-' } else { byte };
    one.len() == other.len() && one.bytes().map(folded).eq(other.bytes().map(folded))
}

/// What requests are told by themselves. Who went on with it would ask targets past Weir.
const OF_REQUESTS: [&[u8]; 4] = [b"h2", b"h2c", b"http", b"tls"];

/// Which protocol the client wants to go on with, where that is so (RFC 9110, 7.8).
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = lists(headers, &CONNECTION, UPGRADE.as_str());
    headers.get(UPGRADE).filter(|protocols| asks && !are_of_requests(protocols)).cloned()
}

fn are_of_requests(protocols: &HeaderValue) -> bool {
    protocols.as_bytes().split(|byte| *byte == b',').any(|protocol| {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default().trim_ascii();
        OF_REQUESTS.iter().any(|ours| name.eq_ignore_ascii_case(ours))
    })
}

/// Puts cookies into one line, which HTTP/2 may have divided; only the first of several would
/// count for many targets (RFC 9113, 8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    if let Some(joined) = joined(headers, &COOKIE, b"; ") {
        headers.insert(COOKIE, joined);
    }
}

/// Removes cookies of an answer that are Weir's to set.
pub(super) fn keep_cookies(headers: &mut HeaderMap) {
    if !headers.get_all(SET_COOKIE).iter().any(sets_own_cookie) {
        return;
    }
    let others = headers.get_all(SET_COOKIE).iter().filter(|cookie| !sets_own_cookie(cookie));
    let others: Vec<HeaderValue> = others.cloned().collect();
    headers.remove(SET_COOKIE);
    for cookie in others {
        headers.append(SET_COOKIE, cookie);
    }
}

/// Asks for, or announces, the protocol to go on with.
pub(super) fn set_upgrade(headers: &mut HeaderMap, protocol: Option<HeaderValue>) {
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

/// Whether `Via` says that a message has passed there before (RFC 9110, 7.6.3).
pub(super) fn passed(headers: &HeaderMap, pseudonym: &HeaderValue) -> bool {
    listed(headers, &VIA).any(|entry| entry == pseudonym.as_bytes())
}

/// Whether the client takes trailers, which gRPC's servers want to know (RFC 9110, 10.1.4).
pub(super) fn takes_trailers(headers: &HeaderMap) -> bool {
    lists(headers, &TE, "trailers")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_concerns_one_connection_stays_behind() {
        let mut all = headers(&[
            ("Connection", "close, X-Secret"),
            ("Connection", "upgrade ,"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Authorization", "Basic eA=="),
            ("TE", "trailers"),
            ("Trailer", "X-Sum"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "websocket"),
            ("X-Secret", "1"),
            ("X-Sum", "2"),
        ]);
        remove_hop_by_hop(&mut all);
        assert_eq!(names(&all), ["trailer", "x-sum"]);
    }

    #[test]
    fn a_client_cannot_speak_for_weir_however_it_writes_it() {
        let mut all = headers(&[
            ("X-Weir-User", "root"),
            ("x_weir_groups", "admins"),
            ("X-WEIR-ANYTHING", "1"),
            ("X_Forwarded_For", "1"),
            ("X-Forwarded_Host", "1"),
            ("Forwarded", "for=x"),
            ("X-Real-IP", "1"),
            ("X_Request_ID", "1"),
            ("X_Api-Key", "key"),
            ("X-Weird", "kept"),
            ("X-Api-Keys", "kept"),
        ]);
        let credential = HeaderName::from_static("x-api-key");
        remove_claims(&mut all, &[credential]);
        assert_eq!(names(&all), ["x-api-keys", "x-weird"]);
    }

    #[test]
    fn trailers_change_nothing_of_what_was_said_before_the_body() {
        let mut all = headers(&[
            ("Host", "other.test"),
            ("Content-Length", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Authorization", "Bearer x"),
            ("Cookie", "a=b"),
            ("X_Weir-User", "root"),
            ("X-Api-Key", "key"),
            ("X-Sum", "kept"),
        ]);
        let credential = HeaderName::from_static("x-api-key");
        clean_trailers(&mut all, &[credential]);
        assert_eq!(names(&all), ["x-sum"]);
    }

    #[test]
    fn cookies_that_were_divided_are_one_line_again() {
        let mut all = headers(&[("Cookie", "a=1"), ("Cookie", "b=\"2 3\"; c"), ("X", "y")]);
        join_cookies(&mut all);
        let lines: Vec<_> = all.get_all(COOKIE).iter().collect();
        assert_eq!(lines, ["a=1; b=\"2 3\"; c"]);
    }

    #[test]
    fn an_upgrade_is_one_only_where_connection_says_so() {
        let asked = headers(&[("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket")]);
        assert_eq!(upgrade(&asked).unwrap(), "websocket");
        assert_eq!(upgrade(&headers(&[("Upgrade", "websocket")])), None);
        for past_weir in ["h2c", "H2C", "HTTP/2.0", "websocket, h2c", "TLS/1.0"] {
            let asked = headers(&[("Connection", "Upgrade"), ("Upgrade", past_weir)]);
            assert_eq!(upgrade(&asked), None, "{past_weir}");
        }
        assert!(takes_trailers(&headers(&[("TE", "gzip, Trailers")])));
        assert!(!takes_trailers(&headers(&[("TE", "gzip")])));
    }
}
