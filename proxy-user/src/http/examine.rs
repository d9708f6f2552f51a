//! Looks at a target without a client: by a request of Weir's own.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Instant};

use hyper::{
    Request, Uri, Version,
    header::{HOST, HeaderValue, USER_AGENT},
    http::uri::{Authority, PathAndQuery},
};
use tokio::net::TcpStream;

use super::{
    Inner,
    body::Upload,
    outbound::authority,
    traffic::Traffic,
    upstream::{self, Reach},
};
use crate::{
    config::{Route, Service, WebTarget},
    relay::{Examination, Examiner},
};

/// Asks a target for a path, and takes any answer below 500 for health.
struct Asking {
    http: Arc<Inner>,
    target: WebTarget,
    verify: bool,
    host: String,
    path: PathAndQuery,
}

/// How the targets of a route are looked at; `None`: a connection tells enough.
pub(super) fn examination(
    http: &Arc<Inner>,
    service: &Service,
    route: &Route,
    target: &WebTarget,
) -> Option<Examination> {
    let path = &route.health.as_ref()?.path;
    let own = || authority(&target.target, target.scheme);
    let asked = service.domain.clone().filter(|domain| {
        !domain.starts_with("*.") && service.web().is_some_and(|web| web.pass_host_header)
    });
    let host = asked.unwrap_or_else(own);
    let verify = !route.skip_tls_verify;
    let asking = Asking {
        http: Arc::clone(http),
        target: target.clone(),
        verify,
        path: PathAndQuery::try_from(path.as_str()).ok()?,
        host,
    };
    let of = format!("{target} {} {path} {verify}", asking.host);
    Some(Examination { of, by: Arc::new(asking) })
}

impl Examiner for Asking {
    fn examine(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        Box::pin(async move {
            let tls = &self.http.client_tls;
            let reach =
                Reach { scheme: self.target.scheme, verify: self.verify, upgrades: false, tls };
            let speaks = upstream::speak(stream, (&self.target.target, address), reach, ()).await;
            let mut speaks = speaks.map_err(|error| error.to_string())?;
            let request = self.request(speaks.is_http2()).ok_or("its URL is none")?;
            let answer = speaks.send(request).await.map_err(|unsent| unsent.error.to_string())?;
            match answer.status() {
                status if status.is_server_error() => Err(format!("it answered {status}")),
                _ => Ok(()),
            }
        })
    }
}

impl Asking {
    fn request(&self, is_http2: bool) -> Option<Request<Upload>> {
        let mut request = Request::new(Upload::none(&Arc::new(Traffic::since(Instant::now()))));
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static("weir-health"));
        let mut uri = hyper::http::uri::Parts::default();
        uri.path_and_query = Some(self.path.clone());
        if is_http2 {
            uri.authority = Some(Authority::try_from(self.host.as_str()).ok()?);
            uri.scheme = self.target.scheme.of_requests().parse().ok();
            *request.version_mut() = Version::HTTP_2;
        } else {
            headers.insert(HOST, HeaderValue::from_str(&self.host).ok()?);
        }
        *request.uri_mut() = Uri::from_parts(uri).ok()?;
        Some(request)
    }
}
