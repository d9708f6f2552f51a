//! `[service.NAME]` over HTTP: what it does with requests.

mod auth;
mod header;
mod path;
mod route;
mod secret;
mod url;

pub(super) use url::scheme;

use self::{auth::auth, route::Common};
use super::{
    Balance, Http, Listen, ListenAddress, Web, WebHealth,
    fault::At,
    fields::Fields,
    published::HTTPS,
    sso::Providers,
    target::{balance, health},
};

/// What is said once for all services over HTTP.
pub(super) struct Shared<'a> {
    pub(super) http: &'a Http,
    pub(super) providers: &'a Providers,
}

/// A [`Web`], and where its parts stand.
pub(super) struct Placed {
    pub(super) web: Web,
    /// Of each target, in the order of routes.
    pub(super) targets: Vec<At>,
    /// Of hashes.
    pub(super) hashes: Vec<At>,
}

/// Whether a service speaks TLS to its clients.
pub(super) fn is_over_tls(fields: &mut Fields<'_, '_>) -> bool {
    fields.boolean("tls").unwrap_or(true)
}

/// What a service listening there does with requests.
pub(super) fn web(
    fields: &mut Fields<'_, '_>,
    (tls, listen): (bool, &[Listen]),
    shared: &Shared<'_>,
) -> Placed {
    let balance = balance(fields).unwrap_or(Balance::RoundRobin);
    let common = Common { balance, health: web_health(fields) };
    let (routes, targets) = route::routes(fields, &common);
    let auth = auth(fields, shared.providers);
    let is_public = listen.iter().any(|listen| !is_loopback(*listen));
    if let Some(auth) = &auth
        && !tls
        && is_public
        && shared.http.trusted_proxies.is_empty()
    {
        let message = "whoever is on the way could read what users sign in with: tls = false \
                       goes with loopback or with http.trusted_proxies only";
        fields.report.fault(auth.at, message);
    }
    let redirect_http = redirect_http(fields, tls, listen);
    let web = Web {
        tls,
        redirect_http,
        pass_host_header: fields.boolean("pass_host_header").unwrap_or(true),
        rewrite_redirects: fields.boolean("rewrite_redirects").unwrap_or(true),
        routes,
        auth: auth.as_ref().map(|placed| placed.auth.clone()),
    };
    Placed { web, targets, hashes: auth.map(|placed| placed.hashes).unwrap_or_default() }
}

fn is_loopback(listen: Listen) -> bool {
    matches!(listen.address, ListenAddress::One(ip) if ip.is_loopback())
}

fn redirect_http(fields: &mut Fields<'_, '_>, tls: bool, listen: &[Listen]) -> bool {
    let wanted = fields.boolean("redirect_http");
    let can = tls && listen.iter().any(|listen| listen.port == HTTPS);
    if wanted == Some(true) && !can {
        let message = "redirect_http has no effect: it is for https:// at port 443";
        fields.report.warn(fields.place("redirect_http"), message);
    }
    can && wanted.unwrap_or(true)
}

fn web_health(fields: &mut Fields<'_, '_>) -> Option<WebHealth> {
    let probe = health(fields)?;
    let default = WebHealth::default();
    let Some((path, at)) = probe.path else {
        return Some(WebHealth { health: probe.health, ..default });
    };
    let is_path = path.starts_with('/') && !path.contains('#');
    if !is_path || path.parse::<hyper::http::uri::PathAndQuery>().is_err() {
        let message = format!("health.path takes a path like \"/healthz\", not {path:?}");
        fields.report.fault(at, message);
    }
    Some(WebHealth { health: probe.health, path })
}
