//! HTTP to an authority: with a bound on time and size, and an ear for its limits.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{HeaderMap, Request, StatusCode, header::RETRY_AFTER};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::{
    config::Acme,
    http::tls::{TlsError, Trust, client_config},
    record::Timestamp,
};

/// For one request and its answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// No answer of an authority comes near this.
const MOST_BYTES: usize = 1 << 20;

type Requests = Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>;
type Answer = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

/// Until when an authority wants to be left alone, where it said so.
pub(super) type Asked = Arc<Mutex<Option<Timestamp>>>;

/// Speaks to an authority.
pub(super) struct Transport {
    requests: Requests,
    asked: Asked,
}

impl Transport {
    /// Reads the authorities that are trusted: it blocks for some milliseconds.
    pub(super) fn new(acme: &Acme, asked: Asked) -> Result<Self, TlsError> {
        let trust = acme.ca_file.as_deref().map_or(Trust::System, Trust::File);
        let connector = HttpsConnectorBuilder::new().with_tls_config(client_config(trust)?);
        let connector = connector.https_only().enable_http1().build();
        Ok(Self { requests: Client::builder(TokioExecutor::new()).build(connector), asked })
    }
}

impl HttpClient for Transport {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answer {
        let sent = self.requests.request(request);
        let asked = Arc::clone(&self.asked);
        let answer = async move {
            let (parts, body) =
                sent.await.map_err(|error| Error::Other(Box::new(error)))?.into_parts();
            if let Some(wait) = wait(parts.status, &parts.headers) {
                *asked.lock() = Some(wait);
            }
            let body = Limited::new(body, MOST_BYTES).collect().await.map_err(Error::Other)?;
            Ok(BytesResponse { parts, body: Box::new(body.to_bytes()) })
        };
        Box::pin(async {
            let late = |_| Error::Other("the authority does not answer in time".into());
            timeout(TIMEOUT, answer).await.map_err(late)?
        })
    }
}

/// Until when a refusal wants us to wait (RFC 8555, 6.6; RFC 9110, 10.2.3).
fn wait(status: StatusCode, headers: &HeaderMap) -> Option<Timestamp> {
    let refuses = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let text = headers.get(RETRY_AFTER).filter(|_| refuses)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        let wait = seconds.saturating_mul(1000);
        return Some(Timestamp(Timestamp::now().0.saturating_add(wait)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn told(status: u16, text: &str) -> Option<Timestamp> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        wait(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn a_refusal_tells_how_long_to_wait() {
        let seconds = told(429, "3600").unwrap().0 - Timestamp::now().0;
        assert!((3_590_000..=3_600_000).contains(&seconds), "{seconds}");
        let date = told(503, "Fri, 27 Nov 2026 12:00:00 GMT").unwrap();
        assert_eq!(date.to_string(), "2026-11-27T12:00:00.000Z");
    }

    #[test]
    fn an_answer_that_refuses_nothing_makes_nobody_wait() {
        assert_eq!(told(200, "5"), None, "an order that is not ready yet is polled");
        assert_eq!(told(429, "soon"), None);
    }
}
