//! The way to a provider of single sign-on and back.
//!
//! Where each service has its own callback it is short: `start` leads to the provider,
//! which leads to `callback`. Where a provider has one callback host for all (`callback`),
//! `start` first goes over to that host by a signed link, since what binds the way to the
//! browser is a cookie of the host that the provider leads back to; and `callback` hands
//! the user over to the service's host by a ticket. Link and ticket are good only in the
//! browser that set out, which keeps a secret of which they hold the hash: else someone
//! could have another sign on as himself.

use std::{sync::Arc, time::Duration};

use hyper::{StatusCode, header::HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    Authenticator,
    authenticator::is_listed,
    cookies::{self, Cookie},
    decision::Turned,
    keys::Purpose,
    now::{Now, later},
    own::nothing_here,
    random::{NoRandomness, decode, encode, random},
    return_to::{OWN, ReturnTo},
    secrets::Fingerprint,
    session::{Opener, Session},
    sign_on_failures::{failed, no_randomness, not_from_here, not_listed},
    tickets::Ticket,
    view::{opens, provider},
    visitor::{Guarded, Visitor},
};
use crate::{
    config::{SsoProvider, SsoRule},
    http::{
        pages::redirect,
        sso::{Arrival, Departure, User, Wish, permits},
    },
    record::{AuthMethod, Timestamp},
};

/// How long the way to the provider and back may take.
const WAY: Duration = Duration::from_mins(10);
/// How long a session lasts of who is on no list: it is there to say so, and to sign out.
const UNLISTED: Duration = Duration::from_mins(10);

/// From a service's host to the common callback host.
#[derive(Serialize, Deserialize)]
struct Link {
    service: String,
    origin: String,
    return_to: String,
    bound: [u8; 32],
    expires: Timestamp,
}

impl Authenticator {
    /// `GET /.weir/sso/start`
    pub(super) async fn start(
        &self,
        visitor: &Visitor<'_>,
        guarded: Option<&Guarded<'_>>,
        now: Now,
    ) -> Turned {
        if let Some(link) = visitor.parameter("link") {
            return self.start_from_elsewhere(visitor, &link, now).await;
        }
        let Some((guarded, provider)) = guarded.and_then(|g| Some((g, provider(g.auth)?))) else {
            return nothing_here(visitor);
        };
        let return_to = ReturnTo::parse(&visitor.parameter("return_to").unwrap_or_default());
        let elsewhere = |callback: &&str| *callback != visitor.origin;
        if let Some(callback) = provider.callback.as_deref().filter(elsewhere) {
            return self.go_over(visitor, guarded, callback, &return_to, now);
        }
        let (origin, service) = (visitor.origin, guarded.service);
        let wish = Wish { origin, service, return_to: return_to.as_str() };
        self.depart(visitor, provider, wish).await
    }

    /// To the provider.
    async fn depart(
        &self,
        visitor: &Visitor<'_>,
        provider: &Arc<SsoProvider>,
        wish: Wish<'_>,
    ) -> Turned {
        match self.sign_on.begin(provider, wish, visitor.headers()).await {
            Ok(Departure { url, cookie_name, cookie, surplus }) => {
                let kept = cookies::set(&cookie_name, &cookie, WAY);
                let surplus = surplus.iter().filter_map(|name| cookies::clear(name));
                see_other(visitor, &url).cookies(kept.into_iter().chain(surplus))
            }
            Err(error) => {
                let start = ReturnTo::parse(wish.return_to).start();
                failed(visitor, &error, &format!("{}{start}", wish.origin))
            }
        }
    }

    fn go_over(
        &self,
        visitor: &Visitor<'_>,
        guarded: &Guarded<'_>,
        callback: &str,
        return_to: &ReturnTo,
        now: Now,
    ) -> Turned {
        let Ok(secret) = flow(visitor) else { return no_randomness(visitor) };
        let link = Link {
            service: guarded.service.to_owned(),
            origin: visitor.origin.to_owned(),
            return_to: return_to.as_str().to_owned(),
            bound: Sha256::digest(secret).into(),
            expires: later(now.wall, WAY),
        };
        let link = self.signer.sign(Purpose::Link, &link);
        let kept = Cookie::Flow.set(&encode(&secret), WAY, visitor.secure);
        see_other(visitor, &format!("{callback}{OWN}sso/start?link={link}")).cookies(kept)
    }

    /// On the common callback host.
    async fn start_from_elsewhere(&self, visitor: &Visitor<'_>, link: &str, now: Now) -> Turned {
        let link: Option<Link> = self.signer.verify(Purpose::Link, link);
        let Some(link) = link.filter(|link| now.wall < link.expires) else {
            return not_from_here(visitor);
        };
        let view = self.view.load_full();
        let auth = view.auth(&link.service);
        let ours = |p: &&Arc<SsoProvider>| p.callback.as_deref() == Some(visitor.origin);
        let Some(provider) = auth.and_then(provider).filter(ours) else {
            return not_from_here(visitor);
        };
        let service = bind(&link.service, &link.bound);
        let wish = Wish { origin: &link.origin, service: &service, return_to: &link.return_to };
        self.depart(visitor, provider, wish).await
    }

    /// `GET /.weir/sso/callback`
    pub(super) async fn callback(
        &self,
        visitor: &Visitor<'_>,
        guarded: Option<&Guarded<'_>>,
        now: Now,
    ) -> Turned {
        let view = self.view.load_full();
        let providers = view.providers();
        if providers.is_empty() {
            return nothing_here(visitor);
        }
        let query = visitor.parts.uri.query().unwrap_or_default();
        let (at, headers) = (visitor.origin, visitor.headers());
        let arrival = match self.sign_on.complete(&providers, at, query, headers).await {
            Ok(arrival) => arrival,
            Err(error) => return failed(visitor, &error, "/"),
        };
        let done = cookies::clear(&arrival.cookie_name);
        let turned = if arrival.origin == at {
            self.come_home(visitor, guarded, arrival, now).await
        } else {
            self.hand_over(visitor, arrival, now)
        };
        turned.cookies(done)
    }

    /// At the service's host.
    async fn come_home(
        &self,
        visitor: &Visitor<'_>,
        guarded: Option<&Guarded<'_>>,
        arrival: Arrival,
        now: Now,
    ) -> Turned {
        let here = guarded.filter(|guarded| guarded.service == arrival.service);
        let Some((guarded, rule)) = here.and_then(|g| Some((g, of_provider(g, &arrival)?))) else {
            return not_from_here(visitor);
        };
        let return_to = ReturnTo::parse(&arrival.return_to);
        let user = (arrival.user, arrival.refresh);
        self.signed_on(visitor, guarded, rule, user, &return_to, now).await
    }

    fn hand_over(&self, visitor: &Visitor<'_>, arrival: Arrival, now: Now) -> Turned {
        let ours = arrival.provider.callback.as_deref() == Some(visitor.origin);
        let Some((service, bound)) = unbind(&arrival.service).filter(|_| ours) else {
            return not_from_here(visitor);
        };
        let user = Some(Arc::new(arrival.user.clone()));
        let origin = arrival.origin.clone();
        let ticket = Ticket {
            service: service.to_owned(),
            origin: arrival.origin,
            bound,
            return_to: ReturnTo::parse(&arrival.return_to),
            user: arrival.user,
            refresh: arrival.refresh,
        };
        let Ok(ticket) = self.tickets.issue(ticket, now.steady) else {
            return no_randomness(visitor);
        };
        see_other(visitor, &format!("{origin}{OWN}sso/ticket?t={ticket}")).of_user(user)
    }

    /// `GET /.weir/sso/ticket`, at the service's host again.
    pub(super) async fn arrive(
        &self,
        visitor: &Visitor<'_>,
        guarded: &Guarded<'_>,
        now: Now,
    ) -> Turned {
        let text = visitor.parameter("t").unwrap_or_default();
        let ticket = self.tickets.redeem(&text, now.steady);
        let ticket = ticket.filter(|ticket| {
            let here = ticket.service == guarded.service && ticket.origin == visitor.origin;
            here && flows(visitor)
                .any(|secret| Sha256::digest(secret).as_slice().ct_eq(&ticket.bound).into())
        });
        let (Some(ticket), Some(rule)) = (ticket, guarded.auth.sso.as_ref()) else {
            return not_from_here(visitor);
        };
        let user = (ticket.user, ticket.refresh);
        self.signed_on(visitor, guarded, rule, user, &ticket.return_to, now).await
    }

    /// Every user gets a session; whom it lets pass is judged with each request. But none
    /// on no list takes the place of one that lets pass: any site can send a browser here.
    async fn signed_on(
        &self,
        visitor: &Visitor<'_>,
        guarded: &Guarded<'_>,
        rule: &SsoRule,
        (user, refresh): (User, Option<String>),
        return_to: &ReturnTo,
        now: Now,
    ) -> Turned {
        let lifetime = guarded.auth.session_lifetime;
        let listed = permits(&rule.allow, &user);
        if !listed && self.has_passing(visitor, guarded, now) {
            return not_listed(visitor, user, return_to);
        }
        let lifetime = if listed { lifetime } else { lifetime.min(UNLISTED) };
        let secret = Fingerprint::of_provider(&rule.provider);
        let opener = Opener::User(user, refresh);
        self.begin(visitor, guarded, (opener, secret, lifetime), return_to, now).await
    }

    /// Whether the browser has a session that lets it pass.
    fn has_passing(&self, visitor: &Visitor<'_>, guarded: &Guarded<'_>, now: Now) -> bool {
        let passes = |session: &Arc<Session>| {
            opens(guarded.auth, session) && is_listed(guarded.auth, session)
        };
        self.shown(visitor, guarded, now).iter().any(passes)
    }
}

/// The service's rule, where it is for the provider that the user comes from.
fn of_provider<'a>(guarded: &Guarded<'a>, arrival: &Arrival) -> Option<&'a SsoRule> {
    let same = |rule: &&SsoRule| rule.provider.name == arrival.provider.name;
    guarded.auth.sso.as_ref().filter(same)
}

/// What the browser keeps while it is under way. One that it has already is kept: it may
/// have set out in several tabs.
fn flow(visitor: &Visitor<'_>) -> Result<[u8; 32], NoRandomness> {
    flows(visitor).next().map_or_else(random, Ok)
}

fn flows(visitor: &Visitor<'_>) -> impl Iterator<Item = [u8; 32]> {
    Cookie::Flow.read(visitor.headers(), visitor.secure).filter_map(decode)
}

/// Has what comes back with the user hold what binds it: beside the service's name, in
/// which there is no `#`.
fn bind(service: &str, bound: &[u8; 32]) -> String {
    format!("{service}#{}", encode(bound))
}

fn unbind(service: &str) -> Option<(&str, [u8; 32])> {
    let (service, bound) = service.split_once('#')?;
    Some((service, decode(bound)?))
}

fn see_other(visitor: &Visitor<'_>, url: &str) -> Turned {
    let place = HeaderValue::try_from(url).unwrap_or(HeaderValue::from_static("/"));
    let (request_id, headers) = (visitor.request_id, visitor.headers());
    let response = redirect(StatusCode::SEE_OTHER, &place, request_id, headers);
    Turned::new(response, None, AuthMethod::Oidc)
}
