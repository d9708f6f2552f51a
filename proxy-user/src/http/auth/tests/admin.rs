//! Sessions, as an administrator sees and ends them.

use super::support::*;

#[tokio::test]
async fn a_session_that_is_revoked_is_no_more_and_says_by_whom() {
    let world = World::new(password());
    let mut browser = world.browser();
    browser.log_in("password=open+sesame").await;
    let lease = passed(browser.get("/").await).lease;
    let listed = world.authenticator.list().unwrap();
    let [session] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((&*session.service, &*session.host), ("wiki", HOST));
    assert!(!world.authenticator.revoke("0011223344556677", "root").unwrap());
    assert!(world.authenticator.revoke(&session.name, "root").unwrap());
    lease.over().await;
    turned(browser.get("/").await);
    assert!(!world.authenticator.revoke(&session.name, "root").unwrap(), "it is gone already");
    assert_eq!(world.audited().pop(), Some(("session_revoked".into(), "root".into())));
}

#[tokio::test]
async fn all_sessions_of_a_service_end_at_once_and_stay_so() {
    let mut world = World::new(password());
    let mut jars = Vec::new();
    for _ in 0..3 {
        let mut browser = world.browser();
        browser.log_in("password=open+sesame").await;
        jars.push(browser.jar());
    }
    let revoke = |world: &World, service| world.authenticator.revoke_all(service, "root").unwrap();
    assert_eq!(revoke(&world, Some("shop")), 0);
    assert_eq!(world.authenticator.list().unwrap().len(), 3);
    assert_eq!(revoke(&world, Some("wiki")), 3);
    assert_eq!(revoke(&world, None), 0);
    let revoked = |world: &World| {
        world.audited().iter().filter(|(event, _)| event == "session_revoked").count()
    };
    assert_eq!(revoked(&world), 1, "one entry for all");
    world.restart();
    for jar in jars {
        turned(world.browser().with_jar(jar).get("/").await);
    }
    assert!(world.authenticator.list().unwrap().is_empty());
}
