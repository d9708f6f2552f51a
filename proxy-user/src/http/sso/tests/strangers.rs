//! Callbacks that are not what they should be.

use std::sync::Arc;

use super::{ORIGIN, begin, browser::Browser, complete, idp::Idp, sso};
use crate::http::sso::{SsoError, StateFault};

#[track_caller]
fn assert_state<T>(result: Result<T, SsoError>, expected: StateFault) {
    match result {
        Err(SsoError::State(fault)) => assert_eq!(fault, expected),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[track_caller]
fn assert_not_granted<T>(result: Result<T, SsoError>) {
    match result {
        Err(SsoError::Refused { error, .. }) => assert_eq!(error, "invalid_grant"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    }
}

/// The same callback by the name of another login.
fn with_state(query: &str, state: &str) -> String {
    let others = query.split('&').filter(|pair| !pair.starts_with("state="));
    others.chain([format!("state={state}").as_str()]).collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn a_login_is_completed_by_the_browser_that_began_it_alone() {
    let Some(idp) = Idp::start() else { return };
    let (sso, provider, mut browser) = (sso(), idp.provider(), Browser::new());
    let departure = begin(&sso, &provider, &mut browser).await;
    let query = browser.sign_in(&idp, &departure, Some("alice"));

    let mut other = Browser::new();
    assert_state(complete(&sso, &provider, &other, &query).await, StateFault::Missing);
    let theirs = begin(&sso, &provider, &mut other).await;
    assert_state(complete(&sso, &provider, &other, &query).await, StateFault::Missing);
    let unknown = with_state(&query, "AAAAAAAAAAAAAAAAAAAAAA");
    assert_state(complete(&sso, &provider, &browser, &unknown).await, StateFault::Missing);

    // Its own login with somebody else's code.
    let state = theirs.cookie_name.rsplit("sso-").next().unwrap();
    assert_not_granted(complete(&sso, &provider, &other, &with_state(&query, state)).await);
}

#[tokio::test]
async fn a_login_is_completed_where_its_callback_is() {
    let Some(idp) = Idp::start() else { return };
    let (sso, provider, mut browser) = (sso(), idp.provider(), Browser::new());
    let departure = begin(&sso, &provider, &mut browser).await;
    let query = browser.sign_in(&idp, &departure, Some("alice"));
    let of_name = |_: &str| Some(Arc::clone(&provider));
    let elsewhere =
        sso.complete(of_name, "https://other.example.com", &query, &browser.cookies()).await;
    assert_state(elsewhere, StateFault::Forged);
    let gone = sso.complete(|_| None, ORIGIN, &query, &browser.cookies()).await;
    assert_state(gone, StateFault::Gone);
}

#[tokio::test]
async fn a_callback_that_comes_twice_is_refused() {
    let Some(idp) = Idp::start() else { return };
    let (sso, provider, mut browser) = (sso(), idp.provider(), Browser::new());
    let departure = begin(&sso, &provider, &mut browser).await;
    let query = browser.sign_in(&idp, &departure, Some("alice"));
    complete(&sso, &provider, &browser, &query).await.unwrap();
    assert_not_granted(complete(&sso, &provider, &browser, &query).await);
}

#[tokio::test]
async fn the_answer_of_another_issuer_is_not_taken() {
    let Some(idp) = Idp::start() else { return };
    let (sso, provider, mut browser) = (sso(), idp.provider(), Browser::new());
    let departure = begin(&sso, &provider, &mut browser).await;
    let query = browser.sign_in(&idp, &departure, Some("alice"));
    assert!(query.contains("iss="), "{query}");
    let query = query.replace("iss=https%3A%2F%2F127", "iss=https%3A%2F%2Fevil.127");
    let error = complete(&sso, &provider, &browser, &query).await.unwrap_err();
    assert!(error.to_string().contains("comes from another issuer"), "{error}");
}

#[tokio::test]
async fn a_wrong_client_secret_is_said_and_not_shown() {
    let Some(idp) = Idp::start() else { return };
    let mut provider = idp.plain();
    provider.client_secret = "hunter2hunter2".to_owned();
    let (sso, provider, mut browser) = (sso(), Arc::new(provider), Browser::new());
    let departure = begin(&sso, &provider, &mut browser).await;
    let query = browser.sign_in(&idp, &departure, Some("alice"));
    let error = complete(&sso, &provider, &browser, &query).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("refuses: invalid_client") && !text.contains("hunter2"), "{text}");
}
