//! Lockout, as browsers meet it.

use proxy_common::reason::Reason;

use super::support::*;
use crate::record::AuthMethod;

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
    world.pass(std::time::Duration::from_mins(15));
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
