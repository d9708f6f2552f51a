//! Passwords and PINs, and the sessions they open.

use hyper::header::HeaderValue;
use proxy_common::reason::Reason;

use super::support::*;
use crate::{config::Auth, record::AuthMethod};

#[tokio::test]
async fn a_browser_is_asked_for_the_password_and_then_gets_what_it_asked_for() {
    let world = World::new(password());
    let mut browser = world.browser();
    let asked = turned(browser.get("/page?a=1&b=2").await);
    assert_eq!(told(&asked), (401, Some(Reason::LoginRequired), AuthMethod::None));
    assert!(text(&asked).contains("name=\"return_to\" value=\"/page?a=1&#38;b=2\""));
    assert!(!asked.response.headers().contains_key("www-authenticate"));
    let form = "return_to=%2Fpage%3Fa%3D1%26b%3D2&password=open+sesame";
    let signed_in = browser.log_in(form).await;
    assert_eq!(told(&signed_in), (303, None, AuthMethod::Password));
    assert_eq!(place(&signed_in), "/page?a=1&b=2");
    let identity = passed(browser.get("/page?a=1&b=2").await);
    assert_eq!(identity.method, AuthMethod::Password);
    assert!(identity.user.is_none() && !identity.lease.is_over());
    assert_eq!(world.audited(), [("signed_in".to_owned(), "192.0.2.1".to_owned())]);
}

#[tokio::test]
async fn a_wrong_secret_is_told_beside_its_field_and_lets_nobody_in() {
    let world = World::new(Auth { pin: Some(argon2("123456")), ..password() });
    let mut browser = world.browser();
    let wrong = browser.log_in("password=open&return_to=/a").await;
    assert_eq!(told(&wrong), (401, Some(Reason::InvalidPassword), AuthMethod::Password));
    assert!(text(&wrong).contains("id=\"password-error\" role=\"alert\">That password is wrong."));
    assert!(text(&wrong).contains("value=\"/a\""), "the way back is kept");
    let wrong = browser.log_in("pin=open+sesame").await;
    assert_eq!(told(&wrong), (401, Some(Reason::InvalidPin), AuthMethod::Pin));
    assert_eq!(turned(browser.get("/").await).reason, Some(Reason::LoginRequired));
    assert_eq!(told(&browser.log_in("pin=123456").await), (303, None, AuthMethod::Pin));
    assert_eq!(passed(browser.get("/").await).method, AuthMethod::Pin);
}

#[tokio::test]
async fn a_program_gets_a_short_answer() {
    let world = World::new(password());
    let mut program = world.browser();
    program.headers.insert("accept", HeaderValue::from_static("*/*"));
    let asked = turned(program.get("/").await);
    let id = "00000000-0000-0000-0000-000000000007";
    assert_eq!(text(&asked), format!("401 Sign in first\nRequest {id}\n"));
    assert_eq!(asked.response.headers()["content-type"], "text/plain; charset=utf-8");
}

#[tokio::test]
async fn another_site_signs_nobody_in_or_out() {
    let world = World::new(password());
    let mut browser = world.browser();
    browser.log_in("password=open+sesame").await;
    browser.headers.insert("origin", HeaderValue::from_static("https://evil.test"));
    for path in ["/.weir/login", "/.weir/logout"] {
        let refused = browser.own("POST", path, "password=open+sesame").await;
        assert_eq!(told(&refused), (400, Some(Reason::BadRequest), AuthMethod::None));
    }
    passed(browser.get("/").await);
}

#[tokio::test]
async fn what_the_login_page_does_not_send_is_no_login() {
    let world = World::new(password());
    let mut browser = world.browser();
    for body in ["", "password=", "pin=123456", "password=a&pin=1"] {
        let refused = browser.log_in(body).await;
        assert_eq!(told(&refused).0, 400, "{body}");
        assert!(!refused.response.headers().contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn a_session_is_for_one_service_at_one_host() {
    let world = World::new(password());
    let mut browser = world.browser();
    browser.log_in("password=open+sesame").await;
    let jar = browser.jar();
    for (service, host) in [("shop", HOST), ("shop", "shop.example.com")] {
        let moved = jar.iter().map(|((_, name), value)| ((host, name.clone()), value.clone()));
        let mut other = world.browser().with_jar(moved.collect());
        (other.service, other.host) = (service, host);
        assert_eq!(turned(other.get("/").await).reason, Some(Reason::LoginRequired));
    }
    passed(browser.get("/").await);
}

#[tokio::test]
async fn a_session_ends_with_its_lifetime() {
    let mut world = World::new(password());
    let mut browser = world.browser();
    browser.log_in("password=open+sesame").await;
    let jar = browser.jar();
    world.pass(24 * HOUR);
    assert_eq!(turned(world.browser().with_jar(jar).get("/").await).response.status(), 401);
}

#[tokio::test]
async fn a_changed_password_ends_what_it_opened_and_open_streams_too() {
    let mut world = World::new(Auth { pin: Some(argon2("123456")), ..password() });
    let mut by_password = world.browser();
    by_password.log_in("password=open+sesame").await;
    let lease = passed(by_password.get("/").await).lease;
    let mut by_pin = world.browser();
    by_pin.log_in("pin=123456").await;
    let pin_lease = passed(by_pin.get("/").await).lease;
    let (by_password, by_pin) = (by_password.jar(), by_pin.jar());
    let changed = Auth { password: Some(argon2("new")), ..world.auth.clone() };
    world.reload(changed);
    ended(lease).await;
    assert!(!pin_lease.is_over());
    let again = turned(world.browser().with_jar(by_password).get("/").await);
    assert_eq!(again.reason, Some(Reason::LoginRequired));
    passed(world.browser().with_jar(by_pin).get("/").await);
}

#[tokio::test]
async fn sessions_and_known_browsers_survive_a_restart() {
    let mut world = World::new(password());
    let mut browser = world.browser();
    browser.log_in("password=open+sesame").await;
    let jar = browser.jar();
    world.restart();
    let mut browser = world.browser().with_jar(jar);
    passed(browser.get("/").await);
    let session = world.authenticator.list().unwrap().remove(0);
    assert_eq!((session.service.as_str(), session.method), ("wiki", AuthMethod::Password));
    assert!(world.authenticator.revoke(&session.name, "root").unwrap());
    assert!(!world.authenticator.revoke(&session.name, "root").unwrap());
    turned(browser.get("/").await);
}

#[tokio::test]
async fn to_sign_in_again_leaves_one_session() {
    let world = World::new(password());
    let mut browser = world.browser();
    for _ in 0..3 {
        browser.log_in("password=open+sesame").await;
    }
    assert_eq!(world.authenticator.list().unwrap().len(), 1);
    passed(browser.get("/").await);
}

#[tokio::test]
async fn without_tls_cookies_have_names_that_browsers_take() {
    let mut world = World::new(password());
    world.pass(HOUR);
    let mut plain = world.browser();
    plain.plain = true;
    let signed_in = plain.log_in("password=open+sesame").await;
    let cookies = signed_in.response.headers().get_all("set-cookie");
    assert!(cookies.iter().all(|c| c.to_str().unwrap().starts_with("weir")));
    passed(plain.get("/").await);
}
