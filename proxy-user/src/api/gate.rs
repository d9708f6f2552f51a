//! Who may reach the TCP listener, and by which name.

use std::net::IpAddr;

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, StatusCode, Uri, header::HOST, uri::Authority};
use ipnet::IpNet;

use super::error::ApiError;
use crate::config::Api;

/// `api.allow` and `api.domain`, replaced by a reload.
#[derive(Debug)]
pub struct Gate(ArcSwap<Rules>);

#[derive(Debug)]
struct Rules {
    allow: Vec<IpNet>,
    domain: Option<String>,
}

impl Gate {
    /// The gate of that configuration.
    pub fn new(api: &Api) -> Self {
        Self(ArcSwap::from_pointee(Rules::of(api)))
    }

    /// Puts another configuration in force, from the next request on.
    pub fn replace(&self, api: &Api) {
        self.0.store(Rules::of(api).into());
    }

    /// Refuses what does not come from where it may, or not under our name.
    pub(super) fn check(
        &self,
        from: IpAddr,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        let rules = self.0.load();
        if !rules.allow.is_empty() && !rules.allow.iter().any(|prefix| prefix.contains(&from)) {
            let message = format!("{from} is not in api.allow");
            return Err(ApiError::new(StatusCode::FORBIDDEN, message));
        }
        // The host of an absolute request target comes before the header.
        let host = uri.authority().cloned().or_else(|| host_header(headers));
        if host.is_some_and(|host| rules.answers_to(&host)) {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "the Host is neither a loopback address nor api.domain",
        ))
    }
}

impl Rules {
    fn of(api: &Api) -> Self {
        Self { allow: api.allow.clone(), domain: api.domain.clone() }
    }

    fn answers_to(&self, host: &Authority) -> bool {
        if host.as_str().contains('@') {
            return false;
        }
        let host = host.host();
        self.domain.as_ref().is_some_and(|domain| domain.eq_ignore_ascii_case(host))
            || host.eq_ignore_ascii_case("localhost")
            || is_loopback(host)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

/// The one Host header.
fn host_header(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?.to_str().ok()?.parse().ok()?;
    hosts.next().is_none().then_some(host)
}
