//! Secrets are tried, and tries are counted.

use std::sync::Arc;

use hyper::{StatusCode, header::HeaderName};
use proxy_common::reason::Reason;

use super::{
    Authenticator,
    decision::{Decision, Identity, Turned, problem},
    device,
    lockout::{Admission, Attempt, Locked, Outcome, TriedFrom},
    now::Now,
    secrets::{Busy, Fingerprint, Secrets},
    visitor::{Guarded, Visitor},
};
use crate::{
    config::SecretHash,
    http::pages::{Hop, retry_after},
    record::AuthMethod,
};

/// How a try came out.
pub(super) enum Tried<'a> {
    /// It is the secret of that hash.
    Right(&'a SecretHash),
    Wrong,
    Locked(Locked),
    /// Too many are being looked at.
    Busy,
}

impl Authenticator {
    /// By a header, where the request has one. A key of 256 bits cannot be guessed, so
    /// that a right one passes whatever else was tried.
    pub(super) async fn header(
        &self,
        visitor: &Visitor<'_>,
        guarded: &Guarded<'_>,
        now: Now,
    ) -> Option<Decision> {
        let headers = visitor.headers();
        let mut turned = None;
        for name in names(guarded) {
            let mut values = headers.get_all(name).iter();
            let Some(value) = values.next() else { continue };
            let tried = if values.next().is_some() {
                Tried::Wrong
            } else {
                self.try_header(visitor, guarded, name, value.as_bytes(), now).await
            };
            match tried {
                Tried::Right(hash) => {
                    let secret = Fingerprint::of_secret(hash);
                    let lease = self.header_leases.lease(guarded.service, secret);
                    let method = AuthMethod::Header;
                    return Some(Decision::Pass(Identity { method, user: None, lease }));
                }
                other => turned = turned.or(Some(wrong_header(visitor, &other))),
            }
        }
        turned.map(Decision::from)
    }

    async fn try_header<'a>(
        &self,
        visitor: &Visitor<'_>,
        guarded: &Guarded<'a>,
        name: &HeaderName,
        value: &[u8],
        now: Now,
    ) -> Tried<'a> {
        let of_name = guarded.auth.headers.iter().filter(|secret| secret.name == name);
        let hashes: Vec<&SecretHash> = of_name.map(|secret| &secret.hash).collect();
        match hashes.iter().find(|hash| Secrets::is_key(hash, value)) {
            Some(hash) => Tried::Right(hash),
            None => self.attempt(visitor, guarded, (&hashes, value), now, true).await,
        }
    }

    /// Tries a value against secrets, unless too many were tried. `often`: whether it
    /// comes with every request.
    pub(super) async fn attempt<'a>(
        &self,
        visitor: &Visitor<'_>,
        guarded: &Guarded<'_>,
        (hashes, value): (&[&'a SecretHash], &[u8]),
        now: Now,
        often: bool,
    ) -> Tried<'a> {
        let device = device::known(&self.signer, visitor, guarded, now.wall);
        let attempt = Attempt {
            service: guarded.service,
            rules: &guarded.auth.lockout,
            from: TriedFrom { client: visitor.client, device },
            tag: self.secrets.tag(hashes.iter().copied(), value),
        };
        match self.lockout.admit(&attempt, now.steady) {
            Err(locked) => return Tried::Locked(locked),
            Ok(Admission::KnownWrong) => return Tried::Wrong,
            Ok(Admission::Try) => {}
        }
        // The client may go away meanwhile, and has tried it all the same.
        let look = look(self, &attempt, (hashes, value), now, often);
        match tokio::spawn(look).await.unwrap_or(Err(Busy)) {
            Ok(Some(place)) => hashes.get(place).map_or(Tried::Wrong, |hash| Tried::Right(hash)),
            Ok(None) => Tried::Wrong,
            Err(Busy) => Tried::Busy,
        }
    }
}

/// Looks at a value that may be, and tells how that came out: the place of its hash.
fn look(
    of: &Authenticator,
    attempt: &Attempt<'_>,
    (hashes, value): (&[&SecretHash], &[u8]),
    now: Now,
    often: bool,
) -> impl Future<Output = Result<Option<usize>, Busy>> + Send + use<> {
    let (lockout, secrets) = (Arc::clone(&of.lockout), Arc::clone(&of.secrets));
    let (service, rules) = (attempt.service.to_owned(), *attempt.rules);
    let (from, tag) = (attempt.from, attempt.tag);
    let hashes: Vec<SecretHash> = hashes.iter().copied().cloned().collect();
    let value = value.to_vec();
    async move {
        let found = secrets.find(&hashes, &value, often).await;
        let outcome = match found {
            Ok(Some(_)) => Outcome::Right,
            Ok(None) => Outcome::Wrong,
            Err(Busy) => Outcome::NotLookedAt,
        };
        let attempt = Attempt { service: &service, rules: &rules, from, tag };
        lockout.settle(&attempt, outcome, now.steady);
        found
    }
}

/// Names of headers that hold secrets, each once.
fn names<'a>(guarded: &Guarded<'a>) -> Vec<&'a HeaderName> {
    let mut names: Vec<&HeaderName> = Vec::new();
    for secret in &guarded.auth.headers {
        if !names.contains(&&secret.name) {
            names.push(&secret.name);
        }
    }
    names
}

fn wrong_header(visitor: &Visitor<'_>, tried: &Tried<'_>) -> Turned {
    match tried {
        Tried::Locked(locked) => locked_out(visitor, *locked, AuthMethod::Header),
        Tried::Busy => busy(visitor, AuthMethod::Header),
        Tried::Right(_) | Tried::Wrong => {
            let text = "The key in the request's header is not one of this site's.";
            let response = problem(visitor, (StatusCode::UNAUTHORIZED, None), text, None);
            Turned::new(response, Some(Reason::InvalidHeader), AuthMethod::Header)
        }
    }
}

pub(super) fn locked_out(visitor: &Visitor<'_>, locked: Locked, method: AuthMethod) -> Turned {
    let minutes = locked.retry_after.as_secs().div_ceil(60).max(1);
    let time = if minutes == 1 { "a minute".to_owned() } else { format!("{minutes} minutes") };
    let text = format!("There were too many wrong tries to sign in. Try again in {time}.");
    let response = problem(visitor, (StatusCode::TOO_MANY_REQUESTS, None), &text, None);
    let mut turned = Turned::new(response, Some(Reason::LockedOut), method);
    retry_after(&mut turned.response, locked.retry_after);
    turned
}

pub(super) fn busy(visitor: &Visitor<'_>, method: AuthMethod) -> Turned {
    let text = "Too many people are signing in at this moment. Try again in a few seconds.";
    let at = (StatusCode::SERVICE_UNAVAILABLE, Some(Hop::Weir));
    let mut response = problem(visitor, at, text, None);
    retry_after(&mut response, std::time::Duration::from_secs(2));
    Turned::new(response, Some(Reason::ConnectionLimit), method)
}
