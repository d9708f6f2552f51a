//! A request's record while the request is under way. It is handed over exactly once: when
//! this is dropped, however that comes about.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::{Method, Request, StatusCode, Version, header::USER_AGENT};
use proxy_common::reason::Reason;
use smol_str::SmolStr;
use uuid::Uuid;

use super::{
    auth::Lease, connection::Connection, forwarded_for::Client, pulse::Serving, refusal::Refusal,
    request_id, sso::User, traffic::Traffic,
};
use crate::{
    config::Service,
    flow::Requests,
    record::{
        AuthMethod, CloseReason, Draft, HttpPart, HttpVersion, Location, Protocol, Source,
        Timestamp, Verdict, shown,
    },
    relay::{Bytes, Judged, Place},
};

/// Metadata: who spoke for the client.
const PROXY: &str = "proxy";
/// Metadata: what ended it before its end, where that was Weir's doing.
const CUT: &str = "cut";

/// A request and its answer.
pub(super) struct Exchange {
    requests: Arc<dyn Requests>,
    connection: Arc<Connection>,
    draft: Option<Box<Draft>>,
    began: Instant,
    traffic: Arc<Traffic>,
    /// Whether the answer went out whole, or was none of which anything is left to send.
    complete: bool,
    judged: Option<Judged>,
    /// Of the session that it is part of.
    lease: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// One of the service's, until it is over.
    place: Option<Place>,
    _serving: Serving,
}

impl Exchange {
    /// A request whose head is complete.
    pub(super) fn begin<B>(connection: &Arc<Connection>, request: &Request<B>) -> Box<Self> {
        let (began, serving) = connection.pulse.begin();
        let now = Timestamp::now();
        let before = i64::try_from(began.elapsed().as_millis()).unwrap_or_default();
        let agent = request.headers().get(USER_AGENT).map_or(&b""[..], |agent| agent.as_bytes());
        let http = HttpPart {
            request_id: request_id::next(now),
            method: shown(request.method().as_str().as_bytes(), HttpPart::MOST_METHOD),
            path: shown(request.uri().path().as_bytes(), HttpPart::MOST_PATH),
            status_code: 0,
            auth: AuthMethod::None,
            user_id: SmolStr::default(),
            user_email: SmolStr::default(),
            http_version: version(request.version()),
            user_agent: shown(agent, HttpPart::MOST_USER_AGENT),
        };
        let draft = Box::new(Draft {
            service_id: SmolStr::default(),
            timestamp: now,
            started_at: Timestamp(now.0 - before),
            duration_ms: 0,
            protocol: Protocol::Http,
            verdict: Verdict::Allowed,
            host: SmolStr::default(),
            listen_port: connection.listen_port,
            bytes_upload: 0,
            bytes_download: 0,
            packets_upload: 0,
            packets_download: 0,
            source: Source::Address(connection.client.ip().to_canonical()),
            source_port: connection.client.port(),
            location: Location::default(),
            reason: None,
            observed_reason: None,
            close_reason: None,
            target: SmolStr::default(),
            tls_version: connection.tls.as_ref().and_then(|tls| tls.version),
            http: Some(Box::new(http)),
            metadata: connection
                .proxy
                .map(|proxy| (PROXY.to_owned(), proxy.to_string()))
                .into_iter()
                .collect(),
        });
        Box::new(Self {
            requests: Arc::clone(&connection.http.requests),
            connection: Arc::clone(connection),
            draft: Some(draft),
            began,
            traffic: Arc::new(Traffic::since(began)),
            complete: false,
            judged: None,
            lease: None,
            place: None,
            _serving: serving,
        })
    }

    /// Its id, which the client and the target learn, too.
    pub(super) fn id(&self) -> Uuid {
        self.draft
            .as_ref()
            .and_then(|draft| draft.http.as_ref())
            .map_or(Uuid::nil(), |h| h.request_id)
    }

    /// Counts what passes.
    pub(super) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Changes what is recorded.
    pub(super) fn note(&mut self, change: impl FnOnce(&mut Draft)) {
        if let Some(draft) = &mut self.draft {
            change(draft);
        }
    }

    fn note_http(&mut self, change: impl FnOnce(&mut HttpPart)) {
        if let Some(http) = self.draft.as_mut().and_then(|draft| draft.http.as_mut()) {
            change(http);
        }
    }

    /// Nothing of it could be read.
    pub(super) fn is_unread(&mut self) {
        self.note_http(|http| {
            http.method = SmolStr::default();
            http.path = SmolStr::default();
            http.http_version = None;
        });
    }

    /// Which host was asked for.
    pub(super) fn is_for(&mut self, host: &str) {
        self.note(|draft| draft.host = shown(host.as_bytes(), 253));
    }

    /// Which service that is.
    pub(super) fn is_of(&mut self, service: &Service) {
        self.note(|draft| draft.service_id = SmolStr::from(service.name.as_str()));
    }

    /// Who sent it.
    pub(super) fn is_from(&mut self, client: &Client, peer: SocketAddr) {
        self.note(|draft| {
            draft.source = Source::Address(client.address);
            draft.source_port = client.port;
            if client.address != peer.ip().to_canonical() {
                // The nearest one, where there are several.
                draft.metadata.entry(PROXY.to_owned()).or_insert_with(|| peer.to_string());
            }
        });
    }

    /// The policy lets it pass.
    pub(super) fn is_admitted(&mut self, judged: Judged) {
        let admission = judged.admission;
        self.note(|draft| {
            draft.observed_reason = admission.observed;
            if admission.country_exempt {
                draft.metadata.insert("country_exempt".to_owned(), "true".to_owned());
            }
        });
        self.traffic.is_of(judged.entered.published().counters());
        self.judged = Some(judged);
    }

    /// It has one of the service's places.
    pub(super) fn takes(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// The service's line to it, where it is admitted.
    pub(super) fn judged(&self) -> Option<&Judged> {
        self.judged.as_ref()
    }

    /// Who signed in, and how.
    pub(super) fn is_by(&mut self, method: AuthMethod, user: Option<&User>) {
        self.note_http(|http| {
            http.auth = method;
            if let Some(user) = user {
                let email = user.email.as_deref().unwrap_or_default();
                http.user_id = shown(user.id.as_bytes(), HttpPart::MOST_USER);
                http.user_email = shown(email.as_bytes(), HttpPart::MOST_USER);
            }
        });
    }

    /// Which target it goes to.
    pub(super) fn goes_to(&mut self, target: SmolStr) {
        self.note(|draft| draft.target = target);
    }

    /// It is answered by Weir, and why.
    pub(super) fn is_refused(&mut self, refusal: &Refusal) {
        self.note(|draft| {
            draft.reason = refusal.reason;
            draft.verdict = match refusal.reason {
                Some(reason) => Verdict::of(reason),
                None if draft.metadata.contains_key(CUT) => Verdict::Error,
                None => Verdict::Allowed,
            };
            if !refusal.error.is_empty() {
                draft.metadata.insert("error".to_owned(), refusal.error.clone());
            }
        });
    }

    /// It failed after its head was answered.
    pub(super) fn fails(&mut self, reason: Reason, error: &dyn std::fmt::Display) {
        self.complete = true;
        self.note(|draft| {
            draft.reason = Some(reason);
            draft.verdict = Verdict::Error;
            draft.metadata.insert("error".to_owned(), error.to_string());
        });
    }

    /// The head of the answer is there.
    pub(super) fn is_answered(&mut self, status: StatusCode) {
        self.note_http(|http| http.status_code = status.as_u16());
    }

    /// A target answered so.
    pub(super) fn is_answered_by_target(&mut self, status: StatusCode) {
        self.is_answered(status);
        if status.is_server_error() {
            self.note(|draft| {
                draft.reason = Some(Reason::BackendError);
                draft.verdict = Verdict::Error;
            });
        }
    }

    /// Ready once it has to end, which is noted, with what a connection would end as.
    pub(super) fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let (why, noted) = if let Some(lease) = &mut self.lease
            && lease.as_mut().poll(cx).is_ready()
        {
            (CloseReason::PolicyChanged, "session_ended")
        } else if let Some(judged) = &self.judged {
            let why = CloseReason::from(ready!(judged.entered.control().poll_cut(cx)));
            (why, why.as_str())
        } else {
            return Poll::Pending;
        };
        self.note(|draft| {
            draft.metadata.insert(CUT.to_owned(), noted.to_owned());
        });
        Poll::Ready(why)
    }

    /// It lasts no longer than what the client signed in by.
    pub(super) fn is_leased(&mut self, lease: Lease) {
        self.lease = Some(Box::pin(async move { lease.over().await }));
    }

    /// How long its client and its target may both be silent, once they speak another
    /// protocol.
    pub(super) fn idle_timeout(&self) -> Duration {
        let judged = self.judged.as_ref();
        judged.map_or(Duration::MAX, |judged| judged.entered.published().settings().idle_timeout)
    }

    /// It went on with another protocol, and ends so.
    pub(super) fn closes(&mut self, why: CloseReason) {
        self.complete = true;
        self.note(|draft| draft.close_reason = Some(why));
    }

    /// Everything went out.
    pub(super) fn is_complete(&mut self) {
        self.complete = true;
    }

    /// What it makes of an end that came too early.
    fn is_incomplete(&self, draft: &mut Draft) {
        let cut = self.judged.as_ref().and_then(|judged| judged.entered.control().order());
        if let Some(cut) = cut.or_else(|| self.connection.house.order()) {
            let why = CloseReason::from(cut).as_str().to_owned();
            draft.metadata.entry(CUT.to_owned()).or_insert(why);
        }
        if draft.metadata.contains_key(CUT) {
            draft.verdict = Verdict::Error;
            return;
        }
        let status = draft.http.as_mut().map(|http| &mut http.status_code);
        draft.reason.get_or_insert(Reason::ClientAborted);
        if let Some(status) = status.filter(|status| **status == 0) {
            *status = 499;
            draft.verdict = Verdict::Error;
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(mut draft) = self.draft.take() else { return };
        if !self.complete {
            self.is_incomplete(&mut draft);
        }
        draft.duration_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let duration = i64::try_from(draft.duration_ms).unwrap_or_default();
        draft.timestamp = Timestamp(draft.started_at.0.saturating_add(duration));
        if draft.verdict != Verdict::Denied {
            let Bytes { up, down } = self.traffic.passed();
            (draft.bytes_upload, draft.bytes_download) = (up, down);
        }
        self.requests.ended(draft);
    }
}

fn version(version: Version) -> Option<HttpVersion> {
    match version {
        Version::HTTP_10 => Some(HttpVersion::Http10),
        Version::HTTP_11 => Some(HttpVersion::Http11),
        Version::HTTP_2 => Some(HttpVersion::Http2),
        _ => None,
    }
}

/// Whether a request may be sent a second time though nobody knows what became of the
/// first (RFC 9110, 9.2.2).
pub(super) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}
