//! The whole way: a service that asks who comes, and a provider that knows.

use std::sync::Arc;

use proxy_common::reason::Reason;
use serde_json::json;

use super::{
    browser::Browser as Pages,
    idp::{COMMON, Idp},
    sso,
};
use crate::{
    config::{SsoAllow, SsoProvider},
    http::auth::tests::support::{
        Browser, HOUR, ORIGIN, World, passed, place, sso as signing_on, told, turned,
    },
    record::AuthMethod,
};

const CALLBACK: &str = "/.weir/sso/callback";
const PAGE: &str = "/reports?year=2026&sort=%2Fname";

fn idp() -> Option<Idp> {
    let callbacks = [ORIGIN, COMMON].map(|host| format!("{host}{CALLBACK}"));
    Idp::start_with(&json!({ "client": { "redirect_uris": callbacks } }))
}

/// A service for users in the group `admins`.
fn world(provider: SsoProvider) -> World {
    let mut auth = signing_on(provider);
    let groups = vec!["admins".to_owned()];
    let allow = SsoAllow::Listed { groups, emails: Vec::new(), domains: Vec::new() };
    auth.sso.as_mut().unwrap().allow = allow;
    World::signing_on_by(Arc::new(sso()), auth)
}

/// Asks for [`PAGE`], is sent to the provider, signs in there and comes back.
async fn sign_in(browser: &mut Browser<'_>, idp: &Idp, user: &str) -> String {
    let asked = turned(browser.get(PAGE).await);
    assert_eq!(told(&asked), (401, Some(Reason::MissingSsoSession), AuthMethod::None));
    let start = "/.weir/sso/start?return_to=/reports%3Fyear%3D2026%26sort%3D%252Fname";
    let departure = browser.own("GET", start, "").await;
    assert_eq!(told(&departure).0, 303);
    let query = Pages::new().sign_in_at(idp, place(&departure).to_owned(), Some(user));
    let callback = format!("{CALLBACK}?{query}");
    let back = browser.own("GET", &callback, "").await;
    assert_eq!((told(&back), place(&back)), ((303, None, AuthMethod::Oidc), PAGE));
    assert_eq!(back.user.unwrap().id, user);
    callback
}

/// What the browser keeps, by name.
fn kept(browser: &Browser<'_>) -> Vec<String> {
    browser.jar().into_keys().map(|(_, name)| name).collect()
}

#[tokio::test]
async fn whoever_the_provider_vouches_for_comes_in_and_can_sign_out() {
    let Some(idp) = idp() else { return };
    let world = world(idp.plain());
    let mut browser = world.browser();
    let callback = sign_in(&mut browser, &idp, "alice").await;
    assert_eq!(kept(&browser), ["__Host-weir", "__Host-weir-device"], "the login is over");
    let identity = passed(browser.get(PAGE).await);
    assert_eq!(identity.method, AuthMethod::Oidc);
    assert_eq!(identity.user.unwrap().name(), "Alice@Example.com");
    let again = browser.own("GET", &callback, "").await;
    assert_eq!(told(&again), (400, Some(Reason::BadRequest), AuthMethod::Oidc));

    assert_eq!(told(&browser.post("/.weir/logout", "").await), (200, None, AuthMethod::Oidc));
    let asked = turned(browser.get(PAGE).await);
    assert_eq!(asked.reason, Some(Reason::MissingSsoSession));
    let alice = || "Alice@Example.com".to_owned();
    let audited = [("signed_in".to_owned(), alice()), ("signed_out".to_owned(), alice())];
    assert_eq!(world.audited(), audited);
}

#[tokio::test]
async fn whoever_is_on_no_list_is_denied_by_name() {
    let Some(idp) = idp() else { return };
    let world = world(idp.plain());
    let mut browser = world.browser();
    sign_in(&mut browser, &idp, "bob").await;
    let denied = turned(browser.get(PAGE).await);
    assert_eq!(told(&denied), (403, Some(Reason::SsoDenied), AuthMethod::Oidc));
    assert_eq!(denied.user.unwrap().id, "bob");
}

#[tokio::test]
async fn whoever_says_no_at_the_provider_is_not_signed_in() {
    let Some(idp) = idp() else { return };
    let world = world(idp.plain());
    let mut browser = world.browser();
    let departure = browser.own("GET", "/.weir/sso/start", "").await;
    let query = Pages::new().sign_in_at(&idp, place(&departure).to_owned(), None);
    let refused = browser.own("GET", &format!("{CALLBACK}?{query}"), "").await;
    assert_eq!(told(&refused), (403, Some(Reason::SsoDenied), AuthMethod::Oidc));
    assert!(world.authenticator.list().unwrap().is_empty());
}

#[tokio::test]
async fn what_changes_about_a_user_counts_from_the_next_recheck_on() {
    let Some(mut idp) = idp() else { return };
    let mut world = world(Arc::unwrap_or_clone(idp.offline()));
    let mut browser = world.browser();
    sign_in(&mut browser, &idp, "alice").await;
    passed(browser.get(PAGE).await);
    let jar = browser.jar();

    idp.has_users(&json!({ "alice": { "groups": ["staff"] } }));
    passed(world.browser().with_jar(jar.clone()).get(PAGE).await);
    world.pass(HOUR);
    let denied = turned(world.browser().with_jar(jar.clone()).get(PAGE).await);
    assert_eq!(told(&denied), (403, Some(Reason::SsoDenied), AuthMethod::Oidc));

    idp.has_users(&json!({ "alice": { "groups": ["admins"] } }));
    world.restart();
    world.pass(HOUR);
    passed(world.browser().with_jar(jar.clone()).get(PAGE).await);

    idp.has_users(&json!({}));
    world.pass(HOUR);
    let asked = turned(world.browser().with_jar(jar).get(PAGE).await);
    assert_eq!(told(&asked), (401, Some(Reason::MissingSsoSession), AuthMethod::None));
    assert_eq!(world.audited().pop(), Some(("session_refused".into(), "corp".into())));
    idp.stop();
    let unreachable = world.browser().own("GET", "/.weir/sso/start", "").await;
    assert_eq!(told(&unreachable).0, 303, "what is known of the provider is known still");
}

#[tokio::test]
async fn one_host_is_the_callback_of_all_services() {
    let Some(idp) = idp() else { return };
    let world = world(SsoProvider { callback: Some(COMMON.to_owned()), ..idp.plain() });
    let mut browser = world.browser();
    let over = browser.own("GET", "/.weir/sso/start?return_to=/a%3Fb", "").await;
    let service = std::mem::replace(&mut browser.host, "login.example.com");
    let departure = browser.own("GET", place(&over).strip_prefix(COMMON).unwrap(), "").await;
    let query = Pages::new().sign_in_at(&idp, place(&departure).to_owned(), Some("alice"));
    let back = browser.own("GET", &format!("{CALLBACK}?{query}"), "").await;
    browser.host = service;
    let ticket = place(&back).strip_prefix(ORIGIN).unwrap().to_owned();
    let arrived = browser.own("GET", &ticket, "").await;
    assert_eq!((told(&arrived).0, place(&arrived)), (303, "/a?b"));
    assert_eq!(passed(browser.get("/a?b").await).user.unwrap().id, "alice");
}
