//! Requests to a provider. No redirect is followed: an endpoint is where the provider says
//! it is.

use std::{error::Error, fmt::Write as _, pin::Pin, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, WWW_AUTHENTICATE},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use serde::de::IgnoredAny;
use tokio::time::timeout;

use super::oidc::Refusal;
use crate::{
    config::SsoProvider,
    http::tls::{TlsError, Trust, client_config},
};

/// For a whole answer.
const TIMEOUT: Duration = Duration::from_secs(10);
const MOST_BYTES: usize = 1 << 20;

/// Asks one provider.
pub(super) struct Web {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebError {
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Slow,
    #[error("an answer of more than {} MiB", MOST_BYTES >> 20)]
    Long,
    #[error("{0}")]
    Connection(String),
    /// It has trouble of its own, or too much to do; or something in front of it answers.
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("it answers with a page and no data")]
    Page,
}

impl Web {
    /// Blocks, for it reads certificates.
    pub(super) fn new(provider: &SsoProvider) -> Result<Self, TlsError> {
        let config = client_config(provider.ca_file.as_deref().map_or(Trust::System, Trust::File))?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(config);
        let connector = if provider.issuer.starts_with("https:") {
            builder.https_only().enable_http1().build()
        } else {
            builder.https_or_http().enable_http1().build()
        };
        // A code is good for one request, which must not meet a connection that is about
        // to be closed: none is kept.
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client })
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, WebError> {
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let answer = self.client.request(request).await.map_err(|error| chain(&error))?;
        let status = answer.status();
        if status != StatusCode::OK && !refuses(status) {
            return Err(WebError::Status(status));
        }
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { WebError::Long } else { chain(&*error) }
        })?;
        let body = body.to_bytes();
        if status != StatusCode::OK && !is_refusal(&head.headers, &body) {
            return Err(WebError::Status(status));
        }
        if status == StatusCode::OK && !is_data(&head.headers, &body) {
            return Err(WebError::Page);
        }
        Ok(HttpResponse::from_parts(head, body.into()))
    }
}

/// By what an endpoint says no. Others come of what stands in front of it, or is there in
/// its place, and say nothing of a user.
const fn refuses(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// RFC 6749, 5.2; or RFC 6750, 3.
fn is_refusal(headers: &HeaderMap, body: &[u8]) -> bool {
    let challenge = headers.get(WWW_AUTHENTICATE).and_then(|value| value.as_bytes().get(..6));
    challenge.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Bearer"))
        || serde_json::from_slice::<Refusal>(body).is_ok()
}

/// JSON, or a signed answer (OpenID Connect Core, 5.3.2).
fn is_data(headers: &HeaderMap, body: &[u8]) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes());
    kind.starts_with(b"application/jwt") || serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

impl<'c> AsyncHttpClient<'c> for Web {
    type Error = WebError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, WebError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async { timeout(TIMEOUT, self.ask(request)).await.unwrap_or(Err(WebError::Slow)) })
    }
}

/// Hyper says what went wrong in an error's sources only.
fn chain(error: &(dyn Error + 'static)) -> WebError {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        // Writing into a string cannot fail.
        let _ = write!(text, ": {source}");
        next = source.source();
    }
    WebError::Connection(text)
}
