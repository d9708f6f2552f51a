//! Users are confirmed from time to time.

use std::time::Duration;

use proxy_common::reason::Reason;

use super::support::*;
use crate::{http::sso::User, record::AuthMethod};

#[tokio::test]
async fn a_user_is_asked_about_once_an_hour_and_changes_count() {
    let mut world = World::new(sso(provider()));
    let mut browser = world.browser();
    browser.sign_on().await;
    passed(browser.get("/").await);
    let jar = browser.jar();
    assert_eq!(*world.provider.asked.lock(), 0);
    world.pass(HOUR);
    *world.provider.user.lock() = Ok(user(&["dev", "new"]));
    let mut browser = world.browser().with_jar(jar);
    for _ in 0..3 {
        let identity = passed(browser.get("/").await);
        assert_eq!(identity.user.as_deref(), Some(&user(&["dev", "new"])));
    }
    assert_eq!(*world.provider.asked.lock(), 1);
    let jar = browser.jar();
    world.pass(HOUR);
    *world.provider.user.lock() = Ok(user(&[]));
    let refused = turned(world.browser().with_jar(jar).get("/").await);
    assert_eq!(refused.reason, Some(Reason::SsoDenied));
}

#[tokio::test]
async fn a_user_whom_the_provider_refuses_has_no_session_any_more() {
    for answer in [Err(refused()), Err(invalid()), Ok(User { id: "8".into(), ..user(&["dev"]) })] {
        let mut world = World::new(sso(provider()));
        let mut browser = world.browser();
        browser.sign_on().await;
        let lease = passed(browser.get("/").await).lease;
        let jar = browser.jar();
        world.pass(HOUR);
        *world.provider.user.lock() = answer;
        let asked = turned(world.browser().with_jar(jar).get("/").await);
        assert_eq!(told(&asked), (401, Some(Reason::MissingSsoSession), AuthMethod::None));
        ended(lease).await;
        assert_eq!(world.audited().pop(), Some(("session_refused".into(), "corp".into())));
        assert!(world.authenticator.list().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_provider_that_does_not_answer_has_time_and_ends_no_session() {
    let mut world = World::new(sso(provider()));
    let mut browser = world.browser();
    browser.sign_on().await;
    let jar = browser.jar();
    let lease = passed(browser.get("/").await).lease;
    *world.provider.user.lock() = Err(unreachable());
    world.pass(HOUR);
    for _ in 0..3 {
        passed(world.browser().with_jar(jar.clone()).get("/").await);
    }
    assert_eq!(*world.provider.asked.lock(), 1, "a request waits for it now and then only");
    world.pass(Duration::from_mins(5));
    let unsure = turned(world.browser().with_jar(jar.clone()).get("/").await);
    assert_eq!(told(&unsure), (503, Some(Reason::MissingSsoSession), AuthMethod::Oidc));
    assert!(unsure.response.headers().contains_key("retry-after"));
    ended(lease).await;
    *world.provider.user.lock() = Ok(user(&["dev"]));
    world.pass(Duration::from_secs(15));
    passed(world.browser().with_jar(jar).get("/").await);
}

#[tokio::test]
async fn a_stream_that_goes_on_is_asked_about_without_a_request() {
    let mut world = World::new(sso(provider()));
    let mut browser = world.browser();
    browser.sign_on().await;
    let lease = passed(browser.get("/").await).lease;
    let mut idle = world.browser();
    idle.sign_on().await;
    passed(idle.get("/").await);
    *world.provider.user.lock() = Err(refused());
    world.pass(HOUR);
    recheck_held(&world).await;
    ended(lease).await;
    assert_eq!(*world.provider.asked.lock(), 1, "nobody waits for the other");
}

async fn recheck_held(world: &World) {
    for held in world.authenticator.held().into_values() {
        world.authenticator.recheck_held(held, || world.now.wall).await;
    }
}

#[tokio::test]
async fn how_to_confirm_a_user_survives_a_restart() {
    let mut world = World::new(sso(provider()));
    let mut browser = world.browser();
    browser.sign_on().await;
    let jar = browser.jar();
    world.restart();
    world.pass(HOUR);
    passed(world.browser().with_jar(jar).get("/").await);
    assert_eq!(*world.provider.asked.lock(), 1);
}
