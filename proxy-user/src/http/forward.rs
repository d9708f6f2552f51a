//! A request's way to one of its targets, and the head of the answer's way back.

use std::{error::Error, future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{
    Request, Response, StatusCode,
    body::{Body, Incoming},
    upgrade::OnUpgrade,
};
use proxy_common::reason::Reason;
use smol_str::ToSmolStr;
use tokio::time::{Instant, timeout_at};

use super::{
    answer::busy,
    body::Upload,
    connection::Connection,
    exchange::{Exchange, is_idempotent},
    forwarded::{Hop, Said},
    headers,
    outbound::{Outbound, outbound},
    pages::Hop as Place,
    redirects,
    refusal::Refusal,
    sign_in::Passed,
    traffic::{BodyEnd, Traffic},
    upstream::{self, Key, Sender},
};
use crate::{
    config::{Route, Scheme},
    relay::{Member, Pool, Seat, Site, share},
};

/// A request that is about to go to one of a route's targets.
pub(super) struct Going<'a> {
    pub(super) connection: &'a Connection,
    pub(super) site: &'a Site,
    pub(super) route: &'a Route,
    pub(super) pool: &'a Pool,
    pub(super) hop: Hop<'a>,
    pub(super) said: &'a Said,
    pub(super) passed: Passed,
}

/// The head of an answer, and what follows it.
pub(super) enum Answered {
    /// A body.
    Streams(Response<Incoming>, Way),
    /// Another protocol.
    Switches(Response<()>, Switch),
}

/// The connection that an answer comes over.
pub(super) struct Way {
    _seat: Seat,
    /// One that can be used again when the answer has been read.
    kept: Option<(Key, Sender)>,
}

impl Way {
    /// The answer has been read to its end.
    pub(super) fn is_free(&mut self) {
        if let Some((key, sender)) = self.kept.take() {
            upstream::keep(key, sender);
        }
    }
}

/// Both ends of a connection that goes on with another protocol.
pub(super) struct Switch {
    pub(super) client: OnUpgrade,
    pub(super) target: OnUpgrade,
    pub(super) way: Way,
}

/// Where a try goes.
struct There<'a> {
    member: &'a Arc<Member>,
    /// Which of the connections there are good for it.
    key: Key,
    /// Whether it may go on with another protocol.
    upgrades: bool,
    /// Whether it takes a connection that no request has used.
    anew: bool,
}

/// What became of a try.
enum Tried {
    Answered(Response<Incoming>, Way),
    /// Nothing was sent, or it does not matter; the target may have been about to close the
    /// connection.
    Again(Request<Upload>),
    /// The same, and the target is to blame.
    Elsewhere(Request<Upload>, Refusal),
    Failed(Refusal),
}

/// Sends the request to one of the targets: to the next where one fails and nothing was
/// sent, or it may be sent again. Gives the head of the answer.
pub(super) async fn forward(
    exchange: &mut Exchange,
    mut request: Request<Incoming>,
    going: Going<'_>,
) -> Result<Answered, Refusal> {
    let client = headers::upgrade(request.headers()).map(|_| hyper::upgrade::on(&mut request));
    let repeatable = is_idempotent(request.method()) && request.body().is_end_stream();
    let Outbound { mut request, hosts } = outbound(request, &going, exchange)?;
    let client_address = going.hop.client.address;
    let members = going.pool.order(client_address);
    let patience = going.site.settings().connect_timeout;
    let mut failed = unreachable(&"the route has no target", false);
    for (index, member) in members.iter().enumerate() {
        let (key, upgrades) = (spoken(going.route, member), client.is_some());
        let mut there = There { member, key, upgrades, anew: upgrades };
        loop {
            let until = share(Instant::now() + patience, members.len() - index);
            let sender = match reach(&going, exchange, &there, until).await {
                Ok(sender) => sender,
                Err(refusal) => {
                    failed = refusal;
                    break;
                }
            };
            hosts.address(&mut request, member, there.key.scheme(), sender.is_http2());
            match send(&going, exchange, (sender, &there), request, repeatable).await {
                Tried::Answered(response, way) => {
                    return answered(response, way, client, &going, exchange);
                }
                Tried::Failed(refusal) => return Err(refusal),
                Tried::Again(again) => {
                    request = again;
                    there.anew = true;
                }
                Tried::Elsewhere(again, refusal) => {
                    request = again;
                    failed = refusal;
                    break;
                }
            }
        }
    }
    Err(failed)
}

/// A connection to a target: one that is there, or a new one.
async fn reach(
    going: &Going<'_>,
    exchange: &mut Exchange,
    &There { member, key, upgrades, anew }: &There<'_>,
    until: Instant,
) -> Result<Sender, Refusal> {
    if !anew && let Some(sender) = upstream::take(&key) {
        exchange.goes_to(sender.address().clone());
        return Ok(sender);
    }
    let Some(permit) = going.connection.house.file() else {
        return Err(busy());
    };
    let tls = &going.connection.http.client_tls;
    let mut tried = None;
    let reach = key.reach(upgrades, tls);
    // In a box, as all that few requests need: the future of each is moved several times.
    let connecting = upstream::connect((member, permit), reach, until, &mut tried);
    let connected = Box::pin(connecting).await;
    let shown = |tried: Option<SocketAddr>| {
        tried.map_or_else(|| member.target().to_smolstr(), |address| address.to_smolstr())
    };
    exchange.goes_to(shown(tried));
    let seat = Seat::new(Arc::clone(member));
    match connected {
        Ok(sender) => {
            seat.worked();
            if let Some(shared) = sender.shared() {
                upstream::keep(key, shared);
            }
            Ok(sender)
        }
        Err(error) => {
            if !error.is_ours() {
                seat.failed(&error);
            }
            Err(unreachable(&error, error.is_timeout()))
        }
    }
}

fn unreachable(error: &dyn std::fmt::Display, is_timeout: bool) -> Refusal {
    let reason = if is_timeout { Reason::BackendTimeout } else { Reason::BackendUnreachable };
    Refusal::of_target(reason, error)
}

async fn send(
    going: &Going<'_>,
    exchange: &mut Exchange,
    (mut sender, there): (Sender, &There<'_>),
    request: Request<Upload>,
    repeatable: bool,
) -> Tried {
    let spare = repeatable.then(|| head(&request));
    let seat = Seat::new(Arc::clone(there.member));
    let traffic = Arc::clone(exchange.traffic());
    let limit = going.route.timeout;
    let answer = tokio::select! {
        biased;
        _ = poll_fn(|cx| exchange.poll_cut(cx)) => return Tried::Failed(cut()),
        answer = within(limit, &traffic, sender.send(request)) => answer,
    };
    let Some(answer) = answer else {
        let error = format!("no answer within {limit:?}");
        return Tried::Failed(Refusal::of_target(Reason::BackendTimeout, &error));
    };
    match answer {
        Ok(response) => {
            let kept = (!sender.is_http2()).then_some((there.key, sender));
            Tried::Answered(response, Way { _seat: seat, kept })
        }
        Err(unsent) => {
            let (error, unsent) = (unsent.error, unsent.request);
            let again = unsent.or_else(|| Some(spare?.map(|()| Upload::none(&traffic))));
            match (again, traffic.body_end()) {
                (Some(request), _) if sender.is_used() && !is_of_stream(&error) => {
                    Tried::Again(request)
                }
                (Some(request), _) => {
                    Tried::Elsewhere(request, Refusal::of_target(Reason::BackendError, &error))
                }
                (None, BodyEnd::Whole) => {
                    Tried::Failed(Refusal::of_target(Reason::BackendError, &error))
                }
                (None, end) => Tried::Failed(broken(end, &error)),
            }
        }
    }
}

/// What `answer` gives, unless that takes longer than `limit` once nothing more of the
/// request's body passes.
async fn within<T>(
    limit: Duration,
    traffic: &Traffic,
    answer: impl Future<Output = T>,
) -> Option<T> {
    let (began, mut answer) = (Instant::now(), pin!(answer));
    loop {
        let since = began.max(traffic.asked().into());
        match timeout_at(since + limit, answer.as_mut()).await {
            Ok(answer) => return Some(answer),
            Err(_) if since < traffic.asked().into() => {}
            Err(_) => return None,
        }
    }
}

/// Whether the target gave up one request alone, on a connection that goes on (RFC 9113,
/// 5.4.2).
fn is_of_stream(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    source.is_some_and(h2::Error::is_reset)
}

/// Who asked may not have the answer any more.
fn cut() -> Refusal {
    let (status, text) = (StatusCode::SERVICE_UNAVAILABLE, "The request was cut off by Weir.");
    Refusal { reason: None, ..Refusal::of(Reason::ConnectionLimit, status, Place::Weir, text) }
}

/// The client did not send all of what it had announced.
fn broken(end: BodyEnd, error: &hyper::Error) -> Refusal {
    match end {
        BodyEnd::Silent => {
            let (status, text) = (StatusCode::REQUEST_TIMEOUT, "The request's body did not come.");
            let refusal = Refusal::of(Reason::BadRequest, status, Place::Client, text);
            refusal.because(error.to_string())
        }
        BodyEnd::Whole | BodyEnd::Broken => {
            Refusal::bad_request("The request's body broke off.").because(error.to_string())
        }
    }
}

/// A copy of a request without body.
fn head(request: &Request<Upload>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    head
}

/// How a target of a route is spoken to.
fn spoken(route: &Route, member: &Arc<Member>) -> Key {
    let target = route.targets.iter().find(|target| target.target == *member.target());
    let scheme = target.map_or(Scheme::Http, |target| target.scheme);
    Key::of(member, scheme, !route.skip_tls_verify)
}

fn answered(
    mut response: Response<Incoming>,
    mut way: Way,
    client: Option<OnUpgrade>,
    going: &Going<'_>,
    exchange: &mut Exchange,
) -> Result<Answered, Refusal> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(client) = client else {
            let error = "it changed the protocol unasked";
            return Err(Refusal::of_target(Reason::BackendError, &error));
        };
        way.kept = None;
        exchange.is_answered(response.status());
        let target = hyper::upgrade::on(&mut response);
        let upgrade = headers::upgrade(response.headers());
        headers::remove_hop_by_hop(response.headers_mut());
        headers::set_upgrade(response.headers_mut(), upgrade);
        let (parts, _) = response.into_parts();
        let switch = Switch { client, target, way };
        return Ok(Answered::Switches(Response::from_parts(parts, ()), switch));
    }
    exchange.is_answered_by_target(response.status());
    headers::remove_hop_by_hop(response.headers_mut());
    redirects::rewrite(&mut response, going);
    headers::keep_cookies(response.headers_mut());
    Ok(Answered::Streams(response, way))
}
