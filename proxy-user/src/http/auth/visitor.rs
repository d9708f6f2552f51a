//! Who asks, and for what.

use std::net::IpAddr;

use hyper::{HeaderMap, http::request::Parts};
use uuid::Uuid;

use crate::config::Auth;

/// A request, as far as authentication needs to know it.
#[derive(Clone, Copy)]
pub struct Visitor<'a> {
    /// Which service it is for, where that asks who comes.
    pub guarded: Option<Guarded<'a>>,
    /// The host that was asked for, in lower case, without port.
    pub host: &'a str,
    /// `https://HOST[:PORT]`, as the browser sees it.
    pub origin: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// The request's head.
    pub parts: &'a Parts,
    /// As in the record.
    pub request_id: Uuid,
    /// Whether the browser speaks TLS with this host.
    pub secure: bool,
}

/// A service that not everyone may use.
#[derive(Clone, Copy)]
pub struct Guarded<'a> {
    /// Its name.
    pub service: &'a str,
    /// How one signs in.
    pub auth: &'a Auth,
}

impl<'a> Visitor<'a> {
    pub(super) fn headers(&self) -> &'a HeaderMap {
        &self.parts.headers
    }

    /// The first value of a parameter of the query, decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let query = self.parts.uri.query()?;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}
