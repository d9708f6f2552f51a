//! The session's cookie.

use axum::http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, HOST},
    uri::Authority,
};

use super::{origin::Origin, sessions::LIFETIME};

/// With this a browser takes it from the host itself alone, by HTTPS (RFC 6265bis, 4.1.3.2).
const HOST_ONLY: &str = "__Host-";

/// What the request's cookie holds.
pub(super) fn read(headers: &HeaderMap) -> Option<&str> {
    let name = name(headers);
    let pairs = || {
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
    };
    let safe = pairs().find(|(given, _)| given.strip_prefix(HOST_ONLY) == Some(&name));
    safe.or_else(|| pairs().find(|(given, _)| *given == name)).map(|(_, value)| value)
}

/// Sets it.
pub(super) fn set(headers: &HeaderMap, value: &str, origin: Origin) -> Option<HeaderValue> {
    line(headers, value, LIFETIME.as_secs(), origin)
}

/// Removes it.
pub(super) fn remove(headers: &HeaderMap, origin: Origin) -> Option<HeaderValue> {
    line(headers, "", 0, origin)
}

/// Cookies of one host are shared by all its ports, on which other Weirs may be, such as those
/// of several hosts whose ports are forwarded to `localhost`.
fn name(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    match host.and_then(|host| host.port_u16()) {
        Some(port) => format!("weir_dashboard_{port}"),
        None => "weir_dashboard".to_owned(),
    }
}

fn line(headers: &HeaderMap, value: &str, age: u64, origin: Origin) -> Option<HeaderValue> {
    let (prefix, secure) = if origin.secure { (HOST_ONLY, "; Secure") } else { ("", "") };
    let name = name(headers);
    let line =
        format!("{prefix}{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(line).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn headers(host: &str, cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        headers.insert(COOKIE, cookie.parse().unwrap());
        headers
    }

    #[test]
    fn each_port_has_its_own_and_that_of_the_host_itself_comes_first() {
        let both = "a=b; weir_dashboard_8790=one; weir_dashboard_8791=other";
        assert_eq!(read(&headers("localhost:8790", both)), Some("one"));
        assert_eq!(read(&headers("localhost:8791", both)), Some("other"));
        assert_eq!(read(&headers("localhost", both)), None);
        let forged = "weir_dashboard=forged; __Host-weir_dashboard=ours";
        assert_eq!(read(&headers("weir.example.com", forged)), Some("ours"));
    }

    #[test]
    fn by_https_it_is_of_this_host_alone() {
        let headers = headers("weir.example.com", "");
        let line = |secure| set(&headers, "x", Origin { secure }).unwrap();
        assert!(line(true).to_str().unwrap().starts_with("__Host-weir_dashboard=x; Path=/;"));
        assert!(line(true).to_str().unwrap().ends_with("; Secure"));
        assert!(!line(false).to_str().unwrap().contains("Secure"));
    }
}
