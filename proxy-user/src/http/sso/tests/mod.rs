//! Logins at a real OpenID provider (oidc-provider), and what is to be seen without one.
#![allow(clippy::unwrap_used, reason = "tests")]

mod attempts;
mod browser;
mod id_tokens;
mod idp;
mod login;
mod outage;
mod recheck;
mod strangers;
mod stub;
mod together;
mod trouble;
mod users;

use std::sync::Arc;

use super::{Arrival, Departure, Sso, SsoError, User, Wish};
use crate::config::SsoProvider;
use browser::Browser;

const SERVICE: &str = "app";
const ORIGIN: &str = "https://app.example.com";
const PAGE: &str = "/reports?year=2026&sort=%2Fname";
const WISH: Wish<'static> = Wish { origin: ORIGIN, service: SERVICE, return_to: PAGE };

fn sso() -> Sso {
    Sso::new(tempfile::tempdir().unwrap().path()).unwrap()
}

fn user(id: &str, groups: &[&str]) -> User {
    let groups = groups.iter().map(|&group| group.to_owned()).collect();
    User { id: id.to_owned(), email: None, groups }
}

/// A browser that asked for [`PAGE`] is sent to its provider.
async fn begin(sso: &Sso, provider: &Arc<SsoProvider>, browser: &mut Browser) -> Departure {
    let departure = sso.begin(provider, WISH, &browser.cookies()).await.unwrap();
    browser.keep(&departure);
    departure
}

/// It comes back from there.
async fn complete(
    sso: &Sso,
    provider: &Arc<SsoProvider>,
    browser: &Browser,
    query: &str,
) -> Result<Arrival, SsoError> {
    let of_name = |name: &str| (name == provider.name).then(|| Arc::clone(provider));
    sso.complete(of_name, ORIGIN, query, &browser.cookies()).await
}

/// A runtime with several threads leads them too.
#[test]
fn logins_are_led_on_any_thread() {
    fn is_send<T: Send>(_: &T) {}
    let (sso, cookies) = (sso(), hyper::HeaderMap::new());
    let provider = stub::Stub::start("").provider;
    is_send(&sso.begin(&provider, WISH, &cookies));
    is_send(&sso.complete(|_| None, ORIGIN, "", &cookies));
    is_send(&sso.confirm(&provider, &user("alice", &[]), ""));
}
