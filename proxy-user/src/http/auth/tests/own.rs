//! What is Weir's own on every service.

use proxy_common::reason::Reason;

use super::{super::is_own, support::*};
use crate::record::AuthMethod;

#[test]
fn only_what_is_below_our_path_is_ours() {
    for path in ["/.weir", "/.weir/", "/.weir/login", "/.weir/x/y"] {
        assert!(is_own(path), "{path}");
    }
    for path in ["/", "/.weird", "/a/.weir/", "/.Weir/"] {
        assert!(!is_own(path), "{path}");
    }
}

#[tokio::test]
async fn what_weir_does_not_have_is_not_found() {
    let world = World::new(password());
    let mut browser = world.browser();
    for path in ["/.weir/", "/.weir", "/.weir/nothing", "/.weir/sso/callback", "/.weir/sso/start"] {
        let turned = browser.own("GET", path, "").await;
        assert_eq!(told(&turned), (404, None, AuthMethod::None), "{path}");
    }
    browser.host = "open.example.com";
    for path in ["/.weir/login", "/.weir/logout", "/.weir/sso/ticket"] {
        assert_eq!(told(&browser.own("GET", path, "").await).0, 404, "{path}");
    }
}

#[tokio::test]
async fn other_methods_are_refused() {
    let world = World::new(password());
    let refused = world.browser().own("DELETE", "/.weir/login", "").await;
    assert_eq!(told(&refused), (405, Some(Reason::BadRequest), AuthMethod::None));
    assert_eq!(refused.response.headers()["allow"], "GET, HEAD, POST");
}

#[tokio::test]
async fn the_login_page_can_be_gone_to() {
    let world = World::new(password());
    let page = world.browser().own("GET", "/.weir/login?return_to=%2Fa%3Fb", "").await;
    assert_eq!(told(&page), (200, None, AuthMethod::None));
    assert!(text(&page).contains("name=\"return_to\" value=\"/a?b\""));
    let page = world.browser().own("GET", "/.weir/login?return_to=//evil.test", "").await;
    assert!(text(&page).contains("name=\"return_to\" value=\"/\""));
}

#[tokio::test]
async fn a_button_signs_out_and_a_link_does_not() {
    let world = World::new(password());
    let mut browser = world.browser();
    browser.log_in("password=open+sesame").await;
    let lease = passed(browser.get("/").await).lease;
    let before = browser.jar();
    let page = browser.own("GET", "/.weir/logout", "").await;
    assert!(text(&page).contains("<form method=\"post\" action=\"/.weir/logout\">"));
    passed(browser.get("/").await);
    let signed_out = browser.post("/.weir/logout", "").await;
    assert_eq!(told(&signed_out), (200, None, AuthMethod::Password));
    assert!(lease.is_over());
    turned(browser.get("/").await);
    turned(world.browser().with_jar(before).get("/").await);
    let events: Vec<String> = world.audited().into_iter().map(|(event, _)| event).collect();
    assert_eq!(events, ["signed_in", "signed_out"]);
}
