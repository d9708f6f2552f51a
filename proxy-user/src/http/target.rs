//! What a request asks for: which host and which path, where there is no doubt about it.

use hyper::{
    HeaderMap, Method, Request, StatusCode, Version,
    header::{CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING},
    http::uri::Authority,
};
use proxy_common::reason::Reason;

use super::{pages::Hop, refusal::Refusal};

/// What hyper takes over HTTP/1; over HTTP/2 it counts bytes only.
const MOST_LINES: usize = 100;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// As sent, with a port where there is one; "" where no host is named.
    pub(super) authority: String,
    /// In lower case, without port or a dot at its end.
    pub(super) host: String,
}

/// The host that a request is for.
///
/// # Errors
/// The request can be read in more than one way, or is for a proxy of another kind.
pub(super) fn asked<B>(request: &Request<B>) -> Result<Asked, Refusal> {
    if request.method() == Method::CONNECT {
        let text = "Weir is no proxy to connect through.";
        let status = StatusCode::METHOD_NOT_ALLOWED;
        return Err(Refusal::of(Reason::BadRequest, status, Hop::Client, text));
    }
    if lines(request.headers()) > MOST_LINES {
        return Err(Refusal::bad_request("The request has more than 100 header lines."));
    }
    is_framed_once(request.headers())?;
    if request.uri().authority().is_some() && request.uri().scheme().is_none() {
        return Err(Refusal::bad_request("The request names a host and no path."));
    }
    let named = host_header(request.headers())?;
    let authority = match (request.uri().authority(), named) {
        (Some(authority), Some(named)) if !is_same(authority, &named) => {
            return Err(Refusal::bad_request("The request names two hosts."));
        }
        (Some(authority), _) => Some(authority.clone()),
        (None, Some(named)) => Some(named),
        (None, None) if request.version() == Version::HTTP_10 => None,
        (None, None) => return Err(Refusal::bad_request("The request names no host.")),
    };
    let Some(authority) = authority else {
        return Ok(Asked { authority: String::new(), host: String::new() });
    };
    if authority.as_str().contains('@') {
        return Err(Refusal::bad_request("The request's host has a user in it."));
    }
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    Ok(Asked { authority: authority.as_str().to_owned(), host })
}

/// Browsers have a line for each cookie over HTTP/2 (RFC 9113, 8.2.3): they count as one.
fn lines(headers: &HeaderMap) -> usize {
    headers.len() - headers.get_all(COOKIE).iter().count().saturating_sub(1)
}

/// RFC 9112, 3.2: exactly one `Host`.
fn host_header(headers: &HeaderMap) -> Result<Option<Authority>, Refusal> {
    let mut lines = headers.get_all(HOST).iter();
    let (first, second) = (lines.next(), lines.next());
    if second.is_some() {
        return Err(Refusal::bad_request("The request names several hosts."));
    }
    let bad = |_| Refusal::bad_request("The request's host is no host.");
    match first {
        Some(value) if value.is_empty() => Ok(None),
        Some(value) => Authority::try_from(value.as_bytes()).map(Some).map_err(bad),
        None => Ok(None),
    }
}

fn is_same(one: &Authority, other: &Authority) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

/// RFC 9112, 6.1 and 6.3: a body has one length, told in one way.
fn is_framed_once(headers: &HeaderMap) -> Result<(), Refusal> {
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next();
    if lengths > 1 || lengths == 1 && coding.is_some() {
        return Err(Refusal::bad_request("The request's body has more than one length."));
    }
    // No target would learn of another coding, and be told that the body has none.
    let is_plain =
        coding.is_none_or(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"));
    if !is_plain || codings.next().is_some() {
        return Err(Refusal::bad_request("The request's body has a coding beside its chunks."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read(uri: &str, headers: &[(&str, &str)]) -> Result<(String, String), u16> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let asked = asked(&request.body(()).unwrap());
        asked.map(|asked| (asked.authority, asked.host)).map_err(|_| 400)
    }

    #[test]
    fn case_port_and_a_last_dot_make_no_difference() {
        assert_eq!(
            read("/", &[("Host", "App.Test:8443")]),
            Ok(("App.Test:8443".to_owned(), "app.test".to_owned()))
        );
        assert_eq!(
            read("/", &[("Host", "app.test.")]),
            Ok(("app.test.".to_owned(), "app.test".to_owned()))
        );
        assert_eq!(
            read("https://app.test/x", &[]),
            Ok(("app.test".to_owned(), "app.test".to_owned()))
        );
        assert_eq!(
            read("http://App.test/", &[("Host", "app.Test")]),
            Ok(("App.test".to_owned(), "app.test".to_owned()))
        );
        assert_eq!(
            read("/", &[("Host", "[2001:db8::1]:80")]),
            Ok(("[2001:db8::1]:80".to_owned(), "[2001:db8::1]".to_owned()))
        );
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (uri, headers) in [
            ("/", &[][..]),
            ("/", &[("Host", "")]),
            ("/", &[("Host", "a.test"), ("Host", "a.test")]),
            ("/", &[("Host", "a.test, b.test")]),
            ("/", &[("Host", "a@b.test")]),
            ("/", &[("Host", "a.test/b")]),
            ("http://a.test/", &[("Host", "b.test")]),
            ("/", &[("Host", "a.test"), ("Content-Length", "1"), ("Content-Length", "1")]),
            ("/", &[("Host", "a.test"), ("Content-Length", "1"), ("Transfer-Encoding", "chunked")]),
            ("/", &[("Host", "a.test"), ("Transfer-Encoding", "gzip, chunked")]),
            (
                "/",
                &[
                    ("Host", "a.test"),
                    ("Transfer-Encoding", "chunked"),
                    ("Transfer-Encoding", "chunked"),
                ],
            ),
            ("a.test", &[("Host", "a.test")]),
        ] {
            assert_eq!(read(uri, headers), Err(400), "{uri} {headers:?}");
        }
    }

    #[test]
    fn a_head_has_a_hundred_lines_and_any_number_of_cookies() {
        let of = |lines: usize, cookies: usize| {
            let others = std::iter::repeat_n(("x", "y"), lines - 2);
            let cookies = std::iter::repeat_n(("cookie", "a=b"), cookies);
            let all: Vec<_> =
                [("Host", "a.test")].into_iter().chain(others).chain(cookies).collect();
            read("/", &all).map(drop)
        };
        assert_eq!((of(100, 1), of(101, 1)), (Ok(()), Err(400)));
        assert_eq!((of(100, 200), of(101, 200)), (Ok(()), Err(400)));
    }

    #[test]
    fn nobody_connects_through_weir() {
        let request = Request::connect("a.test:443").body(()).unwrap();
        let refusal = asked(&request).unwrap_err();
        assert_eq!(refusal.reason, Some(Reason::BadRequest));
    }
}
