//! Secrets in headers.

use hyper::header::{HeaderName, HeaderValue};
use proxy_common::reason::Reason;

use super::support::*;
use crate::{
    config::{Auth, HeaderSecret},
    record::AuthMethod,
};

fn key(hash: crate::config::SecretHash) -> HeaderSecret {
    HeaderSecret { name: HeaderName::from_static("x-api-key"), hash }
}

fn keys() -> Auth {
    Auth { headers: vec![key(sha256("long key")), key(argon2("word"))], ..auth() }
}

fn program<'a>(world: &'a World, value: &'static str) -> Browser<'a> {
    let mut program = world.browser();
    program.headers.insert("x-api-key", HeaderValue::from_static(value));
    program
}

#[tokio::test]
async fn a_right_key_passes_with_every_request_and_opens_no_session() {
    let world = World::new(keys());
    for value in ["long key", "word", "word"] {
        let identity = passed(program(&world, value).ask("POST", "/api").await);
        assert_eq!(identity.method, AuthMethod::Header);
    }
    assert!(world.authenticator.list().unwrap().is_empty());
}

#[tokio::test]
async fn a_wrong_key_and_none_and_two_are_told_apart() {
    let world = World::new(keys());
    let wrong = turned(program(&world, "other").get("/").await);
    assert_eq!(told(&wrong), (401, Some(Reason::InvalidHeader), AuthMethod::Header));
    assert!(!wrong.response.headers().contains_key("www-authenticate"));
    let none = turned(world.browser().get("/").await);
    assert_eq!(told(&none), (401, Some(Reason::LoginRequired), AuthMethod::None));
    let mut two = program(&world, "word");
    two.headers.append("x-api-key", HeaderValue::from_static("word"));
    assert_eq!(turned(two.get("/").await).reason, Some(Reason::InvalidHeader));
}

#[tokio::test]
async fn a_session_comes_before_a_wrong_key() {
    let world = World::new(Auth { password: Some(argon2("open sesame")), ..keys() });
    let mut browser = world.browser();
    browser.log_in("password=open+sesame").await;
    browser.headers.insert("x-api-key", HeaderValue::from_static("other"));
    assert_eq!(passed(browser.get("/").await).method, AuthMethod::Password);
}

#[tokio::test]
async fn a_right_key_passes_beside_a_session_that_lets_nobody_pass() {
    let world = World::new(Auth { headers: vec![key(sha256("long key"))], ..sso(provider()) });
    *world.provider.user.lock() = Ok(user(&["guests"]));
    let mut browser = world.browser();
    browser.sign_on().await;
    assert_eq!(turned(browser.get("/").await).reason, Some(Reason::SsoDenied));
    browser.headers.insert("x-api-key", HeaderValue::from_static("long key"));
    assert_eq!(passed(browser.get("/").await).method, AuthMethod::Header);
    browser.headers.insert("x-api-key", HeaderValue::from_static("other"));
    assert_eq!(turned(browser.get("/").await).reason, Some(Reason::SsoDenied));
}

#[tokio::test]
async fn wrong_keys_lock_words_but_never_a_long_key() {
    let world = World::new(keys());
    for wrong in ["a", "b", "c", "d", "e"] {
        assert_eq!(told(&turned(program(&world, wrong).get("/").await)).0, 401);
    }
    let locked = turned(program(&world, "word").get("/").await);
    assert_eq!(told(&locked), (429, Some(Reason::LockedOut), AuthMethod::Header));
    assert_eq!(locked.response.headers()["retry-after"], "900");
    passed(program(&world, "long key").get("/").await);
}

#[tokio::test]
async fn a_key_taken_out_of_the_configuration_cuts_what_it_opened() {
    let mut world = World::new(keys());
    let long = passed(program(&world, "long key").get("/").await).lease;
    let short = passed(program(&world, "word").get("/").await).lease;
    world.reload(Auth { headers: vec![key(sha256("long key"))], ..auth() });
    ended(short).await;
    assert!(!long.is_over());
    turned(program(&world, "word").get("/").await);
}
