//! Lockout, as browsers meet it.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use hyper::header::{HeaderName, HeaderValue};
use proxy_common::reason::Reason;
use tokio::{task::yield_now, time::sleep};

use super::support::*;
use crate::{
    config::{Auth, HeaderSecret},
    record::AuthMethod,
};

#[tokio::test]
async fn a_thousand_wrong_passwords_of_a_network_lock_out_no_signed_in_or_known_browser() {
    let world = World::new(password());
    let mut signed_in = world.browser();
    signed_in.log_in("password=open+sesame").await;
    let mut known = world.browser();
    known.log_in("password=open+sesame").await;
    known.lose_session();
    let mut locked = 0;
    for (number, host) in (0..1000).zip((0..=255).cycle()) {
        let mut attacker = world.browser();
        attacker.client = [192, 0, 2, host].into();
        let told = told(&attacker.log_in(&format!("password=wrong{number}")).await);
        locked += u32::from(told == (429, Some(Reason::LockedOut), AuthMethod::Password));
    }
    assert_eq!(locked, 700);
    passed(signed_in.get("/").await);
    assert_eq!(turned(known.get("/").await).reason, Some(Reason::LoginRequired));
    assert_eq!(told(&known.log_in("password=open+sesame").await).0, 303);
    passed(known.get("/").await);
    assert_eq!(told(&world.browser().log_in("password=open+sesame").await).0, 429);
}

#[tokio::test]
async fn who_is_locked_out_is_told_for_how_long() {
    let mut world = World::new(password());
    for number in 0..5 {
        world.browser().log_in(&format!("password=wrong{number}")).await;
    }
    let locked = world.browser().log_in("password=open+sesame").await;
    assert_eq!(told(&locked), (429, Some(Reason::LockedOut), AuthMethod::Password));
    assert_eq!(locked.response.headers()["retry-after"], "900");
    assert!(text(&locked).contains("Try again in 15 minutes."));
    world.pass(Duration::from_mins(15));
    assert_eq!(told(&world.browser().log_in("password=open+sesame").await).0, 303);
}

#[tokio::test]
async fn nobody_can_make_up_a_known_browser() {
    let world = World::new(password());
    let mut browser = world.browser();
    browser.log_in("password=open+sesame").await;
    browser.lose_session();
    let jar = browser.jar().into_iter().map(|(key, value)| (key, value.replace('.', "A.")));
    let mut forger = world.browser().with_jar(jar.collect());
    for number in 0..5 {
        world.browser().log_in(&format!("password=wrong{number}")).await;
    }
    assert_eq!(told(&forger.log_in("password=open+sesame").await).0, 429);
    assert_eq!(told(&browser.log_in("password=open+sesame").await).0, 303);
}

/// Or else a client that resets its requests would be hashed for without end.
#[tokio::test]
async fn who_goes_away_has_tried_all_the_same() {
    let world = World::new(password());
    for number in 0..5 {
        let mut browser = world.browser();
        let form = format!("password=wrong{number}");
        // Up to where it waits for its answer.
        assert!(browser.log_in(&form).now_or_never().is_none());
        // It is looked at before there is no place any more.
        yield_now().await;
    }
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let closed = world.authenticator.secrets.close_pool();
        let again = world.browser().log_in("password=wrong0").await;
        drop(closed);
        match told(&again).0 {
            429 => break,
            status => assert!(Instant::now() < until, "{status}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn who_there_is_no_place_for_is_told_to_come_again_and_has_not_tried() {
    let secret = HeaderSecret { name: HeaderName::from_static("x-key"), hash: argon2("word") };
    let world = World::new(Auth { headers: vec![secret], ..password() });
    let program = |value: &'static str| {
        let mut program = world.browser();
        program.headers.insert("x-key", HeaderValue::from_static(value));
        program
    };
    passed(program("word").get("/").await);
    let closed = world.authenticator.secrets.close_pool();
    for number in 0..9 {
        let busy = world.browser().log_in(&format!("password=wrong{number}")).await;
        assert_eq!(told(&busy), (503, Some(Reason::ConnectionLimit), AuthMethod::Password));
        assert_eq!(busy.response.headers()["retry-after"], "2");
        assert!(text(&busy).contains("Too many people are signing in"), "{}", text(&busy));
    }
    let busy = turned(program("other").get("/").await);
    assert_eq!(told(&busy), (503, Some(Reason::ConnectionLimit), AuthMethod::Header));
    passed(program("word").get("/").await);
    drop(closed);
    assert_eq!(told(&world.browser().log_in("password=open+sesame").await).0, 303);
}
