//! Users who sign in.

use std::sync::Arc;

use serde_json::json;

use super::{
    ORIGIN, PAGE, SERVICE, begin,
    browser::Browser,
    complete,
    idp::{COMMON, Idp},
    sso,
};
use crate::http::sso::{SsoError, User};

fn alice() -> User {
    User {
        id: "alice".to_owned(),
        email: Some("Alice@Example.com".to_owned()),
        groups: vec!["admins".to_owned(), "staff".to_owned()],
    }
}

#[tokio::test]
async fn whoever_signs_in_comes_back_to_the_page_that_was_asked_for() {
    let Some(idp) = Idp::start() else { return };
    let (sso, provider, mut browser) = (sso(), idp.provider(), Browser::new());
    let departure = begin(&sso, &provider, &mut browser).await;
    assert!(departure.cookie_name.starts_with("__Host-weir-sso-"), "{}", departure.cookie_name);

    let query = browser.sign_in(&idp, &departure, Some("alice"));
    let arrival = complete(&sso, &provider, &browser, &query).await.unwrap();

    assert_eq!(arrival.user, alice());
    assert_eq!((&*arrival.service, &*arrival.origin), (SERVICE, ORIGIN));
    assert_eq!(arrival.return_to, PAGE);
    assert_eq!(arrival.cookie_name, departure.cookie_name);
    assert!(Arc::ptr_eq(&arrival.provider, &provider));
    assert_eq!(arrival.refresh, None, "nobody asked for one");
}

#[tokio::test]
async fn what_an_id_token_does_not_tell_is_asked_for() {
    let client = json!({ "token_endpoint_auth_method": "client_secret_post",
                         "id_token_signed_response_alg": "RS256" });
    let settings = json!({ "claims_by_userinfo": true, "client": client });
    let Some(idp) = Idp::start_with(&settings) else { return };
    idp.has_users(&json!({ "carol": { "email": "carol@example.com", "email_verified": "true",
                                      "groups": ["staff", 7, ""] } }));
    let (sso, provider, mut browser) = (sso(), idp.provider(), Browser::new());
    let departure = begin(&sso, &provider, &mut browser).await;
    let query = browser.sign_in(&idp, &departure, Some("carol"));
    let arrival = complete(&sso, &provider, &browser, &query).await.unwrap();
    assert_eq!(arrival.user.email.as_deref(), Some("carol@example.com"));
    assert_eq!(arrival.user.groups, ["staff"]);
}

#[tokio::test]
async fn an_email_that_nobody_verified_is_none() {
    let Some(idp) = Idp::start() else { return };
    let (sso, provider, mut browser) = (sso(), idp.provider(), Browser::new());
    let departure = begin(&sso, &provider, &mut browser).await;
    let query = browser.sign_in(&idp, &departure, Some("bob"));
    let user = complete(&sso, &provider, &browser, &query).await.unwrap().user;
    let groups = vec!["staff".to_owned()];
    assert_eq!(user, User { id: "bob".to_owned(), email: None, groups });
}

#[tokio::test]
async fn tabs_that_sign_in_at_once_all_come_back() {
    let Some(idp) = Idp::start() else { return };
    let (sso, provider, mut browser) = (sso(), idp.provider(), Browser::new());
    let first = begin(&sso, &provider, &mut browser).await;
    let second = begin(&sso, &provider, &mut browser).await;
    for departure in [second, first] {
        let query = browser.sign_in(&idp, &departure, Some("alice"));
        let arrival = complete(&sso, &provider, &browser, &query).await.unwrap();
        assert_eq!(arrival.user, alice());
    }
}

#[tokio::test]
async fn one_host_can_be_the_callback_of_all_services() {
    let Some(idp) = Idp::start() else { return };
    let mut provider = idp.plain();
    provider.callback = Some(COMMON.to_owned());
    let (sso, provider, mut browser) = (sso(), Arc::new(provider), Browser::new());
    let departure = begin(&sso, &provider, &mut browser).await;
    let query = browser.sign_in(&idp, &departure, Some("alice"));
    let of_name = |_: &str| Some(Arc::clone(&provider));
    let arrival = sso.complete(of_name, COMMON, &query, &browser.cookies()).await.unwrap();
    assert_eq!((arrival.user, &*arrival.origin), (alice(), ORIGIN));
}

#[tokio::test]
async fn a_user_who_says_no_is_told_so() {
    let Some(idp) = Idp::start() else { return };
    let (sso, provider, mut browser) = (sso(), idp.provider(), Browser::new());
    let departure = begin(&sso, &provider, &mut browser).await;
    let query = browser.sign_in(&idp, &departure, None);
    let error = complete(&sso, &provider, &browser, &query).await.unwrap_err();
    let SsoError::Refused { error, description, .. } = error else { panic!("{error}") };
    assert_eq!((&*error, description.as_deref()), ("access_denied", Some("the user said no")));
}

#[tokio::test]
async fn a_provider_that_replaced_its_keys_is_believed_at_once() {
    let Some(mut idp) = Idp::start() else { return };
    let (sso, provider, mut browser) = (sso(), idp.provider(), Browser::new());
    let departure = begin(&sso, &provider, &mut browser).await;
    let query = browser.sign_in(&idp, &departure, Some("alice"));
    complete(&sso, &provider, &browser, &query).await.unwrap();

    idp.stop();
    idp.start_again();
    let departure = begin(&sso, &provider, &mut browser).await;
    let query = browser.sign_in(&idp, &departure, Some("alice"));
    let arrival = complete(&sso, &provider, &browser, &query).await.unwrap();
    assert_eq!(arrival.user, alice());
}
