//! Where a browser goes when it has signed in.

use hyper::{Method, header::HeaderValue, http::request::Parts};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The longest that is kept, bytes: on its way through single sign-on it is in a cookie,
/// of which browsers take 4,096 bytes in all (RFC 6265, 6.1).
const LONGEST: usize = 2048;
/// Stays as it is in a value of a query.
const IN_QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What is Weir's own on every service.
pub(super) const OWN: &str = "/.weir/";

/// A path, with its query perhaps, on the host that was asked for and on no other. What
/// cannot be one becomes `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReturnTo(String);

impl ReturnTo {
    /// Out of what a browser sent. It begins with exactly one `/`: with two, or with a
    /// backslash behind it, it would be another host.
    pub(super) fn parse(text: &str) -> Self {
        let rest = text.strip_prefix('/').filter(|rest| !rest.starts_with(['/', '\\']));
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let own = text.starts_with(OWN);
        if rest.is_none() || !plain || own {
            return Self("/".to_owned());
        }
        let path = text.split('?').next().unwrap_or_default();
        let fits = [text, path].into_iter().find(|text| text.len() <= LONGEST);
        Self(fits.unwrap_or("/").to_owned())
    }

    /// What a request asked for, where it can be asked for again.
    pub(super) fn of(parts: &Parts) -> Self {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Self("/".to_owned());
        }
        Self::parse(parts.uri.path_and_query().map_or("/", |path| path.as_str()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::try_from(&self.0).unwrap_or(HeaderValue::from_static("/"))
    }

    /// Where single sign-on begins that leads here.
    pub(super) fn start(&self) -> String {
        format!("{OWN}sso/start?return_to={}", utf8_percent_encode(&self.0, IN_QUERY))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_whole_path_with_its_query_is_kept() {
        for path in ["/", "/a/b?c=%2F&d=//e", "/a//b", "/.weird"] {
            assert_eq!(ReturnTo::parse(path).as_str(), path);
        }
        let start = ReturnTo::parse("/a?b=1&c=d;e%20f").start();
        assert_eq!(start, "/.weir/sso/start?return_to=/a%3Fb%3D1%26c%3Dd%3Be%2520f");
    }

    #[test]
    fn of_what_is_too_long_the_path_is_kept() {
        let query = "b".repeat(LONGEST);
        assert_eq!(ReturnTo::parse(&format!("/a?{query}")).as_str(), "/a");
        assert_eq!(ReturnTo::parse(&format!("/{query}?a")).as_str(), "/");
    }

    #[test]
    fn nobody_is_sent_to_another_host_or_in_circles() {
        let long = format!("/{}", "a".repeat(LONGEST));
        for bad in [
            "",
            "a",
            "https://evil.test/",
            "//evil.test",
            "/\\evil.test",
            "\\/evil.test",
            " /a",
            "/a\r\nb",
            "/a\tb",
            "/\u{e9}",
            "/.weir/logout",
            "/a#b",
            "/ /evil.test",
            &long,
        ] {
            assert_eq!(ReturnTo::parse(bad).as_str(), "/", "{bad}");
        }
    }

    #[test]
    fn what_was_sent_is_not_sent_again() {
        let of = |method: &str| {
            let request = hyper::Request::builder().method(method).uri("/a?b").body(()).unwrap();
            ReturnTo::of(&request.into_parts().0)
        };
        assert_eq!(of("GET").as_str(), "/a?b");
        assert_eq!(of("POST").as_str(), "/");
    }
}
