//! Providers that are asked about a user while they are in trouble, or something in front
//! of them answers in their place: that says nothing of the user.

use hyper::HeaderMap;
use serde_json::json;

use super::{
    WISH, sso,
    stub::{Stub, answer, ok},
    user,
};
use crate::http::sso::{Sso, SsoError, User};

const PAGE: &str = "<!doctype html><title>Down for maintenance</title>";

/// What does not come from the endpoint that is asked.
fn strangers() -> Vec<String> {
    vec![
        answer("404 Not Found\r\nContent-Type: text/plain", "404 page not found\n"),
        answer("404 Not Found\r\nContent-Type: application/json", r#"{"error":"Not Found"}"#),
        answer("200 OK\r\nContent-Type: text/html", PAGE),
        answer("200 OK", PAGE),
        answer("200 OK\r\nContent-Type: application/json", ""),
        answer("403 Forbidden\r\nContent-Type: text/html", PAGE),
        answer("400 Bad Request", ""),
        answer("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"", PAGE),
        answer("302 Found\r\nLocation: /maintenance", ""),
        answer("418 I'm a teapot", "{}"),
        ok(&json!({ "message": "no route matched" })),
    ]
}

async fn confirm(sso: &Sso, stub: &Stub) -> Result<User, SsoError> {
    let alice = user("alice", &["staff"]);
    sso.confirm(&stub.provider, &alice, "token").await.map(|(user, _)| user)
}

fn tokens(more: &serde_json::Value) -> String {
    let mut tokens = json!({ "access_token": "a", "token_type": "Bearer" });
    tokens.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ok(&tokens)
}

fn assert_trouble<T: std::fmt::Debug>(result: Result<T, SsoError>, because: &str) {
    let error = result.expect_err(because);
    assert!(matches!(error, SsoError::Unreachable { .. }), "{because}: {error}");
}

#[tokio::test]
async fn a_stranger_at_the_token_endpoint_ends_no_session() {
    let (sso, stub) = (sso(), Stub::discovered(&[]));
    for stranger in strangers() {
        stub.answers("/token", &stranger);
        assert_trouble(confirm(&sso, &stub).await, &stranger);
    }
}

#[tokio::test]
async fn a_stranger_that_answers_to_discovery_ends_no_session() {
    for stranger in strangers() {
        let stub = Stub::start(stranger.clone());
        assert_trouble(confirm(&sso(), &stub).await, &stranger);
        assert_trouble(sso().begin(&stub.provider, WISH, &HeaderMap::new()).await, &stranger);
    }
}

#[tokio::test]
async fn a_stranger_at_the_userinfo_endpoint_ends_no_session() {
    let (sso, stub) = (sso(), Stub::discovered(&["userinfo"]));
    stub.answers("/token", &tokens(&json!({})));
    for stranger in strangers() {
        stub.answers("/userinfo", &stranger);
        assert_trouble(confirm(&sso, &stub).await, &stranger);
    }
}

#[tokio::test]
async fn what_the_provider_itself_says_counts() {
    let (sso, stub) = (sso(), Stub::discovered(&["userinfo"]));
    for status in ["400 Bad Request", "401 Unauthorized", "403 Forbidden"] {
        stub.answers("/token", &answer(status, r#"{"error":"invalid_grant"}"#));
        let error = confirm(&sso, &stub).await.unwrap_err();
        assert!(matches!(error, SsoError::Refused { .. }), "{error}");
    }
    stub.answers("/token", &tokens(&json!({ "id_token": "bad" })));
    let error = confirm(&sso, &stub).await.unwrap_err();
    assert!(matches!(error, SsoError::Invalid { .. }), "{error}");

    stub.answers("/token", &tokens(&json!({})));
    let challenge = "401 Unauthorized\r\nWWW-Authenticate: Bearer error=\"invalid_token\"";
    stub.answers("/userinfo", &answer(challenge, ""));
    let error = confirm(&sso, &stub).await.unwrap_err();
    assert!(matches!(error, SsoError::Invalid { .. }), "{error}");
    stub.answers("/userinfo", &ok(&json!({ "sub": "bob" })));
    let error = confirm(&sso, &stub).await.unwrap_err();
    assert!(matches!(error, SsoError::Invalid { .. }), "{error}");
}

#[tokio::test]
async fn who_is_confirmed_without_a_word_is_who_they_were() {
    let (sso, stub) = (sso(), Stub::discovered(&[]));
    stub.answers("/token", &tokens(&json!({})));
    assert_eq!(confirm(&sso, &stub).await, Ok(user("alice", &["staff"])));
}
