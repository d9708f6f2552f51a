//! Redirects of targets to themselves, which clients are to follow to the service.

use hyper::{
    Response, Uri,
    header::{CONTENT_LOCATION, HeaderValue, LOCATION},
};

use super::{forward::Going, outbound::authority};
use crate::config::{Route, Scheme};

/// Rewrites where an answer sends the client, where that is the target itself.
pub(super) fn rewrite<B>(response: &mut Response<B>, going: &Going<'_>) {
    if !going.site.web().is_some_and(|web| web.rewrite_redirects) {
        return;
    }
    let is_tls = going.said.is_tls().unwrap_or(going.hop.is_tls);
    let service = Service { host: going.hop.host, is_tls, route: going.route };
    for name in [LOCATION, CONTENT_LOCATION] {
        let there = response.headers().get(&name).and_then(|value| value.to_str().ok());
        let moved = there.and_then(|there| service.moved(there));
        if let Some(Ok(moved)) = moved.map(HeaderValue::try_from) {
            response.headers_mut().insert(name, moved);
        }
    }
}

/// The service as clients know it.
struct Service<'a> {
    host: &'a str,
    is_tls: bool,
    route: &'a Route,
}

impl Service<'_> {
    /// Where `there` is for clients; `None`: where it says.
    fn moved(&self, there: &str) -> Option<String> {
        let strips = self.route.strip_prefix && self.route.path != "/";
        if there.starts_with('/') && !there.starts_with("//") {
            return strips.then(|| format!("{}{there}", self.route.path));
        }
        let uri: Uri = there.parse().ok()?;
        let (scheme, host) = (uri.scheme_str()?, uri.authority()?.as_str());
        let is_target = self.route.targets.iter().any(|target| {
            let same = matches!(
                (target.scheme, scheme),
                (Scheme::Http | Scheme::H2c, "http") | (Scheme::Https, "https")
            );
            let named = [authority(&target.target, target.scheme), target.target.to_string()];
            same && named.iter().any(|named| named.eq_ignore_ascii_case(host))
        });
        // A target that is passed the service's name may not know of its TLS.
        let is_service = host.eq_ignore_ascii_case(self.host);
        if !is_target && !(is_service && (strips || self.is_tls && scheme == "http")) {
            return None;
        }
        let scheme = if self.is_tls { "https" } else { "http" };
        let prefix = if strips { self.route.path.as_str() } else { "" };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let fragment = there.split_once('#').map_or(String::new(), |(_, rest)| format!("#{rest}"));
        Some(format!("{scheme}://{}{prefix}{path}{fragment}", self.host))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use super::*;
    use crate::config::{Balance, Target, WebTarget};

    fn route(strip_prefix: bool) -> Route {
        let target = |scheme, target: &str| WebTarget {
            scheme,
            target: Target::Address(target.parse().unwrap()),
        };
        Route {
            path: "/app".to_owned(),
            targets: vec![
                target(Scheme::Http, "10.0.0.7:8080"),
                target(Scheme::Https, "10.0.0.8:443"),
            ],
            balance: Balance::RoundRobin,
            health: None,
            strip_prefix,
            public: false,
            request_headers: Vec::new(),
            timeout: Duration::from_secs(1),
            skip_tls_verify: false,
        }
    }

    fn moved(there: &str, strip_prefix: bool) -> Option<String> {
        let route = route(strip_prefix);
        Service { host: "wiki.test", is_tls: true, route: &route }.moved(there)
    }

    #[test]
    fn a_targets_redirect_to_itself_leads_to_the_service() {
        let there = |there| moved(there, false);
        assert_eq!(there("http://10.0.0.7:8080/x?y#z").unwrap(), "https://wiki.test/x?y#z");
        assert_eq!(there("https://10.0.0.8/x").unwrap(), "https://wiki.test/x");
        assert_eq!(there("https://10.0.0.8:443/x").unwrap(), "https://wiki.test/x");
        assert_eq!(there("http://Wiki.test/x").unwrap(), "https://wiki.test/x");
    }

    #[test]
    fn what_leads_elsewhere_stays() {
        for elsewhere in [
            "https://10.0.0.7:8080/",
            "http://10.0.0.7/",
            "https://wiki.test/x",
            "/x",
            "x",
            "//a/b",
            "",
        ] {
            assert_eq!(moved(elsewhere, false), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_prefix_that_was_taken_off_is_put_back() {
        assert_eq!(moved("/x", true).unwrap(), "/app/x");
        assert_eq!(moved("http://10.0.0.7:8080/x", true).unwrap(), "https://wiki.test/app/x");
        assert_eq!(moved("https://wiki.test/x", true).unwrap(), "https://wiki.test/app/x");
    }
}
