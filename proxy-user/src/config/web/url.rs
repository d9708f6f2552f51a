//! Targets over HTTP, as URLs.

use std::net::{IpAddr, Ipv6Addr};

use crate::config::{Scheme, Target, WebTarget, listen::is_host_name};

/// What a target over HTTP looks like.
pub(in crate::config) const FORM: &str = "a URL like \"http://10.0.0.7:8080\"";

const SCHEMES: [(&str, Scheme); 3] =
    [("http://", Scheme::Http), ("https://", Scheme::Https), ("h2c://", Scheme::H2c)];

/// The scheme of a URL over HTTP, in any case, and what follows it.
pub(in crate::config) fn scheme(url: &str) -> Option<(Scheme, &str)> {
    SCHEMES.into_iter().find_map(|(prefix, scheme)| {
        let (start, rest) = url.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then_some((scheme, rest))
    })
}

/// `SCHEME://HOST[:PORT]`, and perhaps a `/`.
pub(super) fn web_target(text: &str) -> Result<WebTarget, String> {
    let Some((scheme, rest)) = scheme(text) else {
        return Err(format!("target {text:?} is not {FORM}, with http, https or h2c"));
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains('@') {
        let cure = "request_headers of a route can hold an Authorization";
        return Err(format!("target {text:?} holds a user or a password: {cure}"));
    }
    if authority.contains(['/', '?', '#']) {
        let cure = "path and strip_prefix of a route say which paths it gets";
        return Err(format!("target {text:?} goes on after its host: {cure}"));
    }
    let (host, port) = split(authority, scheme.default_port())
        .ok_or_else(|| format!("target {text:?} is not {FORM}"))?;
    let target = target(host, port).ok_or_else(|| format!("target {text:?} names no host"))?;
    Ok(WebTarget { scheme, target })
}

/// Host and port; an IPv6 address is in brackets, and keeps them.
fn split(authority: &str, default_port: u16) -> Option<(&str, u16)> {
    let end = if authority.starts_with('[') { authority.find(']')? + 1 } else { 0 };
    let port_at = authority[end..].find(':').map(|colon| end + colon);
    let (host, port) = match port_at {
        Some(colon) => (&authority[..colon], authority[colon + 1..].parse().ok()?),
        None => (authority, default_port),
    };
    (port != 0).then_some((host, port))
}

fn target(host: &str, port: u16) -> Option<Target> {
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let address: Option<IpAddr> = match bracketed {
        Some(v6) => Some(v6.parse::<Ipv6Addr>().ok()?.into()),
        None => host.parse().ok().filter(IpAddr::is_ipv4),
    };
    if let Some(address) = address {
        return (!address.is_unspecified()).then(|| Target::Address((address, port).into()));
    }
    let numeric = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    if numeric || !is_host_name(host) {
        return None;
    }
    Some(Target::Name { host: host.to_ascii_lowercase(), port })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ports_are_those_of_the_scheme_and_names_are_in_lower_case() {
        let shown = |url: &str| web_target(url).expect(url).to_string();
        assert_eq!(shown("http://App.internal"), "http://app.internal:80");
        assert_eq!(shown("HTTPS://10.0.0.8/"), "https://10.0.0.8:443");
        assert_eq!(shown("h2c://grpc:50051"), "h2c://grpc:50051");
        assert_eq!(shown("https://[2001:db8::7]"), "https://[2001:db8::7]:443");
        assert_eq!(shown("http://[::1]:8080"), "http://[::1]:8080");
    }

    #[test]
    fn what_is_no_host_and_port_is_refused() {
        for bad in [
            "http://",
            "http:///",
            "http://a:0",
            "http://a:x",
            "http://a:",
            "http://a:1:2",
            "http://::1",
            "http://[::1",
            "http://[::1]x",
            "http://[10.0.0.1]",
            "http://10.0.0.300",
            "http://0.0.0.0",
            "http://a b",
            "http://a//",
            "http://a/b",
            "http://a?b",
            "http://a#b",
            "http://user@a",
            "ftp://a",
            "a:80",
        ] {
            assert!(web_target(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(rest in ".{0,40}") {
            let _ = web_target(&rest);
            let _ = web_target(&format!("http://{rest}"));
        }
    }
}
