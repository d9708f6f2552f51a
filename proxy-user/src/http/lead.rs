//! Where a URL leads, by the configuration alone.

use std::sync::Arc;

use hyper::Uri;

use super::{answer::OWN, path};
use crate::{
    config::{Auth, Service, SsoAllow},
    policy::Lead,
};

/// Where a URL leads to, or why nowhere.
///
/// # Errors
/// In words: it is no URL of a service's.
pub fn lead(services: &[Arc<Service>], url: &str) -> Result<Lead, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
    let default = match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => return Err(format!("{url:?}: a URL begins with https:// or http://")),
    };
    let authority = uri.authority().ok_or_else(|| format!("{url:?} names no host"))?;
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let port = authority.port_u16().unwrap_or(default);
    let is_tls = default == 443;
    let of_port = services.iter().filter(|service| {
        let is_web = service.web().is_some_and(|web| web.tls == is_tls);
        is_web && service.listen.iter().any(|listen| listen.port == port)
    });
    if let Some(service) = named(&of_port, &host) {
        return inside(service, &uri);
    }
    let redirected = services
        .iter()
        .filter(|service| !is_tls && service.redirect_listen().any(|listen| listen.port == port));
    match named(&redirected, &host) {
        Some(service) => Ok(Lead {
            service: service.name.clone(),
            way: format!("a redirect to https://{host}"),
            ..Lead::default()
        }),
        None => Err(format!("no service has the host {host:?} on port {port}: unknown_host")),
    }
}

/// The service of that host: exact names come first, a wildcard stands for one label.
fn named<'a>(
    services: &(impl Iterator<Item = &'a Arc<Service>> + Clone),
    host: &str,
) -> Option<&'a Arc<Service>> {
    let is =
        |wanted: &str| services.clone().find(|service| service.domain.as_deref() == Some(wanted));
    is(host).or_else(|| is(&format!("*.{}", host.split_once('.')?.1)))
}

fn inside(service: &Service, uri: &Uri) -> Result<Lead, String> {
    let Some(web) = service.web() else { return Err("it is no service over HTTP".to_owned()) };
    let routes = web.routes.iter().map(|route| route.path.as_str());
    let service = service.name.clone();
    let place = match path::choose(uri.path(), std::iter::once(OWN).chain(routes)) {
        Ok(Some(0)) => {
            let way = "a page of Weir's own".to_owned();
            return Ok(Lead { service, way, ..Lead::default() });
        }
        Ok(Some(place)) => place - 1,
        Ok(None) => return Err(format!("service {service} has no route for {}", uri.path())),
        Err(path::Ambiguous) => {
            return Err(format!(
                "{} can be read as a path of another route: bad_request",
                uri.path()
            ));
        }
    };
    let Some(route) = web.routes.get(place) else { return Err("no route".to_owned()) };
    let targets = route.targets.iter().map(ToString::to_string).collect();
    let authentication = match &web.auth {
        None => vec!["none: the service asks nobody to sign in".to_owned()],
        Some(_) if route.public => vec!["none: the route is public".to_owned()],
        Some(auth) => methods(auth),
    };
    Ok(Lead { service, way: format!("route {}", route.path), targets, authentication })
}

/// In the order in which a request is tried by them.
fn methods(auth: &Auth) -> Vec<String> {
    let mut methods = vec!["a session".to_owned()];
    methods.extend(auth.headers.iter().map(|header| format!("the header {}", header.name)));
    let words = [(auth.password.is_some(), "a password"), (auth.pin.is_some(), "a PIN")];
    methods.extend(words.iter().filter(|(is, _)| *is).map(|(_, word)| (*word).to_owned()));
    methods.extend(auth.sso.as_ref().map(|rule| {
        let who = match &rule.allow {
            SsoAllow::AnyUser => "any user".to_owned(),
            SsoAllow::Listed { groups, emails, domains } => {
                let listed = [("groups", groups), ("e-mails", emails), ("domains", domains)];
                let listed = listed.iter().filter(|(_, list)| !list.is_empty());
                listed
                    .map(|(what, list)| format!("{what} {}", list.join(", ")))
                    .collect::<Vec<_>>()
                    .join("; ")
            }
        };
        format!("single sign-on by {} ({who})", rule.provider.name)
    }));
    methods
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::config::tests::read;

    const FILE: &str = r#"
        [service.app]
        domain = "app.test"
        pin = "HASH"
        target = "http://10.0.0.7:8080"
        [[service.app.route]]
        path = "/hooks"
        target = "http://10.0.0.8"
        public = true
        [service.rest]
        domain = "*.test"
        target = "https://10.0.0.9"
    "#;

    fn led(url: &str) -> Result<Lead, String> {
        let hash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$Cs7MT0lbfqyKk0VCYvWJbA";
        let loaded = read(&FILE.replace("HASH", hash)).unwrap();
        lead(&loaded.config.services, url)
    }

    #[test]
    fn a_url_leads_to_a_route_and_tells_who_must_sign_in() {
        let app = led("https://App.test/x?y").unwrap();
        assert_eq!((app.service.as_str(), app.way.as_str()), ("app", "route /"));
        assert_eq!(app.targets, ["http://10.0.0.7:8080"]);
        assert_eq!(app.authentication, ["a session", "a PIN"]);
        let hooks = led("https://app.test/hooks/1").unwrap();
        assert_eq!(hooks.authentication, ["none: the route is public"]);
        assert_eq!(led("https://other.test/").unwrap().service, "rest");
        assert_eq!(led("http://app.test/").unwrap().way, "a redirect to https://app.test");
        assert_eq!(led("https://app.test/.weir/login").unwrap().way, "a page of Weir's own");
    }

    #[test]
    fn a_url_that_leads_nowhere_says_why() {
        for (url, why) in [
            ("https://a.b.test/", "unknown_host"),
            ("https://app.test:8443/", "unknown_host"),
            ("https://app.test/x/../hooks", "bad_request"),
            ("ftp://app.test/", "begins with"),
            ("app", "begins with"),
        ] {
            let told = led(url).unwrap_err();
            assert!(told.contains(why), "{url}: {told}");
        }
    }
}
