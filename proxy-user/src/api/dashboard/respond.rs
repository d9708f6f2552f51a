//! What every answer of the dashboard passes, and pages as answers.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::api::{access, app::App, error::ApiError};

/// Content Security Policy Level 3: nothing but our own files.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// Of every answer. Not `no-referrer`: with that, a browser hides the origin of a form too.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "same-origin"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The longest query of a page, bytes. Every link of a page repeats most of it.
const MAX_QUERY: usize = 4096;

fn admit(app: &App, request: &Request) -> Result<(), ApiError> {
    access::may_knock(app, request)?;
    if request.uri().query().is_some_and(|query| query.len() > MAX_QUERY) {
        let message =
            format!("a page's query has at most {MAX_QUERY} bytes; the API takes longer ones");
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, message));
    }
    Ok(())
}

/// The layer around every page.
pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match admit(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A page as an answer.
pub(super) fn page(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page of the dashboard could not be made");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error; the log says more")
                .into_response()
        }
    }
}
