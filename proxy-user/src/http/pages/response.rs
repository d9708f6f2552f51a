//! From a page to an answer.

use std::{sync::LazyLock, time::Duration};

use askama::Template;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{
        ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
        RETRY_AFTER, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use sha2::{Digest, Sha256};

/// Of Content Security Policy Level 3: nothing but our own style. `form-action` is left
/// open on purpose: browsers apply it to redirects too, and after a login the target may
/// redirect to anywhere.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(super::STYLE));
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; \
         frame-ancestors 'none'"
    ))
    .ok()
});

/// Whether the client is one that shows pages.
pub(in crate::http) fn wants_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    accepted.filter_map(|accept| accept.to_str().ok()).any(|accept| {
        accept.split(',').any(|range| {
            let kind = range.split(';').next().unwrap_or_default();
            kind.trim().eq_ignore_ascii_case("text/html")
        })
    })
}

/// The page, or its text for a client that does not ask for HTML.
pub(in crate::http) fn respond(
    status: StatusCode,
    headers: &HeaderMap,
    page: &impl Template,
    text: &str,
) -> Response<Bytes> {
    let html = wants_html(headers).then(|| page.render().ok()).flatten();
    let (kind, body) = match html {
        Some(html) => ("text/html; charset=utf-8", Bytes::from(html)),
        None => ("text/plain; charset=utf-8", Bytes::from(format!("{text}\n"))),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Not `no-referrer`: with that, a browser hides the origin of a form too.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if let Some(policy) = &*POLICY {
        headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
    }
    response
}

/// Tells the client when to try again: in whole seconds, one at least (RFC 9110, 10.2.3).
pub(in crate::http) fn retry_after(response: &mut Response<Bytes>, time: Duration) {
    let seconds = time.as_millis().div_ceil(1000).max(1);
    if let Ok(value) = HeaderValue::try_from(seconds.to_string()) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
}
