//! Single sign-on: the way there and back.

use proxy_common::reason::Reason;

use super::support::*;
use crate::{
    config::{Auth, SsoProvider},
    http::sso::{SsoError, StateFault, User},
    record::AuthMethod,
};

const LOGIN: &str = "login.example.com";

fn common() -> SsoProvider {
    SsoProvider { callback: Some("https://login.example.com".into()), ..provider() }
}

#[tokio::test]
async fn a_browser_goes_to_the_provider_by_itself_and_comes_back_to_what_it_asked_for() {
    let world = World::new(sso(provider()));
    let mut browser = world.browser();
    let asked = turned(browser.get("/a?b=c&d").await);
    assert_eq!(told(&asked), (401, Some(Reason::MissingSsoSession), AuthMethod::None));
    let start = "/.weir/sso/start?return_to=/a%3Fb%3Dc%26d";
    assert!(text(&asked).contains(&format!("content=\"0; url={start}\"")), "{}", text(&asked));
    assert!(text(&asked).contains(&format!("href=\"{start}\"")));
    let departure = browser.own("GET", start, "").await;
    assert_eq!(told(&departure).0, 303);
    let back = browser.own("GET", "/.weir/sso/callback?code=1&state=2", "").await;
    assert_eq!(told(&back), (303, None, AuthMethod::Oidc));
    assert!(
        browser.jar().keys().all(|(_, name)| name != "__Host-weir-sso"),
        "it has done its work"
    );
    assert_eq!((place(&back), back.user.as_deref()), ("/a?b=c&d", Some(&user(&["dev"]))));
    let identity = passed(browser.get("/a").await);
    assert_eq!(identity.method, AuthMethod::Oidc);
    assert_eq!(identity.user.as_deref(), Some(&user(&["dev"])));
    assert_eq!(world.audited(), [("signed_in".to_owned(), "ann@example.com".to_owned())]);
}

#[tokio::test]
async fn beside_a_password_single_sign_on_is_a_button() {
    let world = World::new(Auth { password: Some(argon2("a")), ..sso(provider()) });
    let asked = turned(world.browser().get("/").await);
    assert_eq!(asked.reason, Some(Reason::LoginRequired));
    assert!(text(&asked).contains("Sign in with corp</a>"));
    assert!(!text(&asked).contains("http-equiv"));
}

#[tokio::test]
async fn who_is_on_no_list_is_told_as_whom_and_can_sign_out() {
    let world = World::new(sso(provider()));
    *world.provider.user.lock() = Ok(user(&["guests"]));
    let mut browser = world.browser();
    assert_eq!(told(&browser.sign_on().await).0, 303);
    let cookies: Vec<String> = browser.jar().into_keys().map(|(_, name)| name).collect();
    assert_eq!(cookies, ["__Host-weir"], "a browser of anybody has no tries of its own");
    let refused = turned(browser.get("/a").await);
    assert_eq!(told(&refused), (403, Some(Reason::SsoDenied), AuthMethod::Oidc));
    assert_eq!(refused.user.as_deref(), Some(&user(&["guests"])));
    assert!(text(&refused).contains("ann@example.com"));
    assert!(text(&refused).contains("action=\"/.weir/logout\""));
    browser.post("/.weir/logout", "").await;
    assert_eq!(turned(browser.get("/a").await).reason, Some(Reason::MissingSsoSession));
}

/// Any site can send a browser to the start, and its user may be signed on at the provider
/// as somebody else.
#[tokio::test]
async fn who_is_on_no_list_takes_the_place_of_nobody_who_may_come() {
    for by_password in [true, false] {
        let world = World::new(Auth { password: Some(argon2("a")), ..sso(provider()) });
        let mut browser = world.browser();
        let opened = if by_password {
            browser.log_in("password=a&return_to=/").await
        } else {
            browser.sign_on().await
        };
        assert_eq!(told(&opened).0, 303);
        let session = browser.jar()[&(HOST, "__Host-weir".to_owned())].clone();
        *world.provider.user.lock() = Ok(user(&["guests"]));
        let refused = browser.sign_on().await;
        assert_eq!(told(&refused), (403, Some(Reason::SsoDenied), AuthMethod::Oidc));
        assert_eq!(refused.user.as_deref(), Some(&user(&["guests"])));
        assert!(text(&refused).contains("href=\"/a?b\">Go on as before"), "{}", text(&refused));
        assert_eq!(browser.jar()[&(HOST, "__Host-weir".to_owned())], session);
        passed(browser.get("/").await);
    }
}

#[tokio::test]
async fn who_is_on_no_list_can_come_again_as_another() {
    let world = World::new(sso(provider()));
    let mut browser = world.browser();
    *world.provider.user.lock() = Ok(user(&["guests"]));
    browser.sign_on().await;
    let other = User { email: Some("bob@example.com".into()), ..user(&["guests"]) };
    *world.provider.user.lock() = Ok(other.clone());
    assert_eq!(told(&browser.sign_on().await).0, 303);
    assert_eq!(turned(browser.get("/").await).user.as_deref(), Some(&other));
}

#[tokio::test]
async fn lists_are_asked_with_every_request_and_a_change_cuts_open_streams() {
    let mut world = World::new(sso(provider()));
    let mut browser = world.browser();
    browser.sign_on().await;
    let lease = passed(browser.get("/").await).lease;
    let jar = browser.jar();
    let mut stricter = sso(provider());
    stricter.sso.as_mut().unwrap().allow = crate::config::SsoAllow::Listed {
        groups: vec!["admins".into()],
        emails: Vec::new(),
        domains: Vec::new(),
    };
    world.reload(stricter);
    ended(lease).await;
    let refused = turned(world.browser().with_jar(jar.clone()).get("/").await);
    assert_eq!(refused.reason, Some(Reason::SsoDenied));
    world.reload(sso(provider()));
    passed(world.browser().with_jar(jar).get("/").await);
}

#[tokio::test]
async fn each_failure_of_the_provider_is_told_apart() {
    let world = World::new(sso(provider()));
    let start = "/.weir/sso/start?return_to=/a";
    let mut browser = world.browser();
    for (error, status, reason) in [
        (unreachable(), 503, Reason::MissingSsoSession),
        (refused(), 403, Reason::SsoDenied),
        (SsoError::Host("no disk".into()), 503, Reason::MissingSsoSession),
        (StateFault::Expired.into(), 400, Reason::BadRequest),
        (invalid(), 502, Reason::MissingSsoSession),
    ] {
        *world.provider.user.lock() = Err(error.clone());
        let failed = browser.own("GET", start, "").await;
        assert_eq!(told(&failed), (status, Some(reason), AuthMethod::Oidc));
        assert!(text(&failed).contains(&error.to_string()));
        assert!(text(&failed).contains("/.weir/sso/start?return_to=/a\">Sign in again"));
        assert_eq!(failed.response.headers().contains_key("retry-after"), status == 503);
    }
    *world.provider.user.lock() = Ok(user(&["dev"]));
    assert_eq!(told(&browser.own("GET", start, "").await).0, 303, "it is back");
}

#[tokio::test]
async fn a_callback_that_this_browser_did_not_set_out_for_opens_nothing() {
    let world = World::new(sso(provider()));
    let refused = world.browser().own("GET", "/.weir/sso/callback?code=1", "").await;
    assert_eq!(told(&refused), (400, Some(Reason::BadRequest), AuthMethod::Oidc));
    assert!(world.authenticator.list().unwrap().is_empty());
}

/// From a service's host to the provider and back to the common host: where it is then
/// sent.
async fn to_the_ticket(browser: &mut Browser<'_>) -> String {
    let over = browser.own("GET", "/.weir/sso/start?return_to=/a%3Fb", "").await;
    let link = place(&over).strip_prefix("https://login.example.com").unwrap().to_owned();
    browser.host = LOGIN;
    let departure = browser.own("GET", &link, "").await;
    assert_eq!(place(&departure), "https://idp.example.com/authorize");
    let back = browser.own("GET", "/.weir/sso/callback?code=1", "").await;
    browser.host = HOST;
    place(&back).strip_prefix(ORIGIN).unwrap().to_owned()
}

#[tokio::test]
async fn a_common_callback_host_hands_the_user_over() {
    let world = World::new(sso(common()));
    assert!(world.authenticator.is_callback_host(LOGIN));
    assert!(!world.authenticator.is_callback_host(HOST));
    let mut browser = world.browser();
    let ticket = to_the_ticket(&mut browser).await;
    let arrived = browser.own("GET", &ticket, "").await;
    assert_eq!((told(&arrived).0, place(&arrived)), (303, "/a?b"));
    assert_eq!(passed(browser.get("/a?b").await).user.as_deref(), Some(&user(&["dev"])));
    assert_eq!(told(&browser.own("GET", &ticket, "").await).0, 400, "it is good once");
}

#[tokio::test]
async fn a_ticket_is_of_no_use_in_another_browser_or_too_late() {
    let mut world = World::new(sso(common()));
    let mut browser = world.browser();
    let stolen = to_the_ticket(&mut browser).await;
    assert_eq!(told(&world.browser().own("GET", &stolen, "").await).0, 400);
    let late = to_the_ticket(&mut browser).await;
    let jar = browser.jar();
    world.pass(std::time::Duration::from_mins(1));
    assert_eq!(told(&world.browser().with_jar(jar).own("GET", &late, "").await).0, 400);
    assert!(world.authenticator.list().unwrap().is_empty());
}

#[tokio::test]
async fn two_tabs_can_sign_on_at_once() {
    let world = World::new(sso(common()));
    let mut browser = world.browser();
    let (one, two) = (to_the_ticket(&mut browser).await, to_the_ticket(&mut browser).await);
    for ticket in [two, one] {
        assert_eq!(told(&browser.own("GET", &ticket, "").await).0, 303);
    }
}

#[tokio::test]
async fn nobody_can_make_up_a_link_to_the_common_host() {
    let world = World::new(sso(common()));
    let mut browser = world.browser();
    let over = browser.own("GET", "/.weir/sso/start", "").await;
    let link = place(&over).strip_prefix("https://login.example.com").unwrap().to_owned();
    browser.host = LOGIN;
    for bad in
        ["/.weir/sso/start?link=", "/.weir/sso/start?link=AAAA.AAAA", &link[..link.len() - 1]]
    {
        assert_eq!(told(&browser.own("GET", bad, "").await).0, 400, "{bad}");
    }
    assert_eq!(told(&browser.own("GET", "/.weir/sso/start?return_to=/", "").await).0, 404);
}
