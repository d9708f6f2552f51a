//! Cookies: Weir's own, which never reach a target, and all others, which do unchanged.

use std::time::Duration;

use hyper::{
    HeaderMap,
    header::{COOKIE, HeaderValue},
};

/// The most of one name that are looked at: a browser sends one.
const MOST: usize = 4;
/// Only the host itself can set it, and only over TLS (RFC 6265bis, 4.1.3.2).
const HOST_PREFIX: &str = "__Host-";

/// A cookie of Weir's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cookie {
    /// The id of a session.
    Session,
    /// That this browser signed in before.
    Device,
    /// That it is this browser which set out to sign on.
    Flow,
}

impl Cookie {
    fn base(self) -> &'static str {
        match self {
            Self::Session => "weir",
            Self::Device => "weir-device",
            Self::Flow => "weir-flow",
        }
    }

    /// What the browser has of it. `secure`: whether it speaks TLS.
    pub(super) fn read(self, headers: &HeaderMap, secure: bool) -> impl Iterator<Item = &str> {
        let own = name(self.base(), secure);
        let own = pairs(headers).filter_map(move |(name, value)| (name == own).then_some(value));
        own.take(MOST)
    }

    /// Has the browser keep `value`. `None` where that is no value of a cookie.
    pub(super) fn set(self, value: &str, keep: Duration, secure: bool) -> Option<HeaderValue> {
        set(&name(self.base(), secure), value, keep)
    }

    /// Has the browser forget it.
    pub(super) fn clear(self, secure: bool) -> Option<HeaderValue> {
        clear(&name(self.base(), secure))
    }
}

/// The whole name of a cookie. `secure`: whether the browser speaks TLS.
pub(in crate::http) fn name(base: &str, secure: bool) -> String {
    format!("{}{base}", if secure { HOST_PREFIX } else { "" })
}

/// A name without what [`name`] puts before it.
pub(in crate::http) fn base(name: &str) -> &str {
    name.strip_prefix(HOST_PREFIX).unwrap_or(name)
}

/// Names and values of the cookies that a browser sends, in its order.
pub(in crate::http) fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.trim(), value.trim()))
}

/// `Set-Cookie` for a cookie of that whole name: for this host alone, out of reach of
/// scripts, and not sent along by what other sites do but by a link to here.
pub(super) fn set(name: &str, value: &str, keep: Duration) -> Option<HeaderValue> {
    let safe = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !b";,\"\\".contains(&b));
    (safe(name) && !name.contains('=') && safe(value)).then_some(())?;
    // Else browsers do not take a name with that prefix.
    let only_tls = if name.starts_with(HOST_PREFIX) { "; Secure" } else { "" };
    let age = keep.as_secs();
    let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{only_tls}");
    HeaderValue::try_from(text).ok()
}

/// `Set-Cookie` by which a browser forgets the cookie of that whole name.
pub(super) fn clear(name: &str) -> Option<HeaderValue> {
    set(name, "", Duration::ZERO)
}

/// Whether a cookie of that name is Weir's: `weir`, or what begins with `weir-`, with
/// `__Host-` before it or without.
fn is_ours(name: &[u8]) -> bool {
    let name = name.strip_prefix(HOST_PREFIX.as_bytes()).unwrap_or(name);
    name.strip_prefix(b"weir").is_some_and(|rest| rest.is_empty() || rest[0] == b'-')
}

fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii()
}

/// Takes Weir's cookies out of a request's headers. Others stay as they are, byte for
/// byte.
pub fn remove_own_cookies(headers: &mut HeaderMap) {
    let ours = |pair: &&[u8]| is_ours(name_of(pair));
    let pairs = |line: &HeaderValue| line.as_bytes().split(|&b| b == b';').any(|pair| ours(&pair));
    if !headers.get_all(COOKIE).iter().any(pairs) {
        return;
    }
    let kept: Vec<HeaderValue> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| {
            let others: Vec<&[u8]> =
                line.as_bytes().split(|&b| b == b';').filter(|pair| !ours(pair)).collect();
            let line = others.join(&b';');
            let line = line.trim_ascii_start();
            (!line.is_empty()).then(|| HeaderValue::from_bytes(line).ok()).flatten()
        })
        .collect();
    headers.remove(COOKIE);
    for line in kept {
        headers.append(COOKIE, line);
    }
}

/// Whether a target may not set that cookie, since it is Weir's. `value`: of `Set-Cookie`.
pub fn sets_own_cookie(value: &HeaderValue) -> bool {
    is_ours(name_of(value.as_bytes().split(|&b| b == b';').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let lines = lines.iter().map(|line| (COOKIE, line.parse().unwrap()));
        lines.collect()
    }

    #[test]
    fn a_target_gets_all_cookies_but_ours_byte_for_byte() {
        for (sent, left) in [
            ("a=1; __Host-weir=x; b=\"2 3\"", Some("a=1; b=\"2 3\"")),
            ("__Host-weir=x; a=1", Some("a=1")),
            ("a=1;b=2;  c", Some("a=1;b=2;  c")),
            ("weir=x; weir-device=y; __Host-weir-sso.7=z", None),
            (
                "weird=1; __Host-w=2; =weir; b=__Host-weir=3",
                Some("weird=1; __Host-w=2; =weir; b=__Host-weir=3"),
            ),
            ("a=1; weir", Some("a=1")),
        ] {
            let mut headers = headers(&[sent, "z=26"]);
            remove_own_cookies(&mut headers);
            let expected: Vec<&str> = left.into_iter().chain(["z=26"]).collect();
            let got: Vec<&HeaderValue> = headers.get_all(COOKIE).iter().collect();
            assert_eq!(got, expected, "{sent}");
        }
    }

    #[test]
    fn a_session_cookie_counts_where_its_kind_of_host_can_have_set_it() {
        let headers = headers(&["a=1; __Host-weir=safe; weir=plain", "__Host-weir=more"]);
        let read = |secure| Cookie::Session.read(&headers, secure).collect::<Vec<_>>();
        assert_eq!(read(true), ["safe", "more"]);
        assert_eq!(read(false), ["plain"]);
    }

    #[test]
    fn our_cookies_stay_with_this_host_and_out_of_scripts() {
        let value = Cookie::Session.set("abc", Duration::from_hours(1), true).unwrap();
        let expected = "__Host-weir=abc; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(value, expected);
        let plain = Cookie::Session.set("abc", Duration::from_hours(1), false).unwrap();
        assert_eq!(plain, "weir=abc; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax");
        let gone = clear("__Host-weir").unwrap();
        assert_eq!(gone, "__Host-weir=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(set("a", "b; Domain=example.com", Duration::ZERO), None);
    }

    #[test]
    fn a_target_cannot_set_our_cookies() {
        for (value, ours) in [
            ("__Host-weir=1; Path=/", true),
            (" weir = 1", true),
            ("weird=1", false),
            ("a=weir", false),
        ] {
            assert_eq!(sets_own_cookie(&HeaderValue::from_static(value)), ours, "{value}");
        }
    }
}
