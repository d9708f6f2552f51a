//! Whether a page of ours sent a request (RFC 6454).

use axum::{
    extract::FromRequestParts,
    http::{
        HeaderMap, StatusCode,
        header::{HOST, ORIGIN},
        request::Parts,
        uri::{Authority, Uri},
    },
};

use crate::api::{app::App, error::ApiError};

/// Where a form of ours was sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Whether the browser came by HTTPS, be it that a proxy speaks it for Weir.
    pub(super) secure: bool,
}

/// That of a request that changes something; anything but our own is a 403. The gate has seen
/// to it that `Host` is a name of ours.
impl FromRequestParts<App> for Origin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let message = "Origin: the form was not sent by a page of this dashboard";
        same(&parts.headers).ok_or_else(|| ApiError::new(StatusCode::FORBIDDEN, message))
    }
}

fn same(headers: &HeaderMap) -> Option<Origin> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin: Uri = origins.next()?.to_str().ok()?.parse().ok()?;
    let host: Authority = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
    let secure = match origin.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let default = if secure { 443 } else { 80 };
    let authority = origin.authority()?;
    let same_host = authority.host().eq_ignore_ascii_case(host.host());
    let same_port = authority.port_u16().unwrap_or(default) == host.port_u16().unwrap_or(default);
    (same_host && same_port && origins.next().is_none()).then_some(Origin { secure })
}

/// Whether the browser says that another site made it send this (Fetch Metadata).
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn only_our_own_origin_is_ours() {
        for (origin, host, secure) in [
            ("http://127.0.0.1:8790", "127.0.0.1:8790", Some(false)),
            ("https://weir.example.com", "weir.example.com", Some(true)),
            ("https://weir.example.com", "WEIR.example.com:443", Some(true)),
            ("http://127.0.0.1:8790", "127.0.0.1:8791", None),
            ("http://127.0.0.1:8790", "localhost:8790", None),
            ("https://evil.example.com", "weir.example.com", None),
            ("null", "127.0.0.1:8790", None),
            ("ftp://127.0.0.1:8790", "127.0.0.1:8790", None),
            ("", "127.0.0.1:8790", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, origin.parse().unwrap());
            headers.insert(HOST, host.parse().unwrap());
            let found = same(&headers).map(|origin| origin.secure);
            assert_eq!(found, secure, "{origin} {host}");
        }
        assert_eq!(same(&HeaderMap::new()), None);
    }
}
