//! Providers that do not answer as they should.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use hyper::HeaderMap;
use weir_tests::wait::SOON;

use super::{WISH, idp::Idp, sso, stub::Stub};
use crate::{
    config::SsoProvider,
    http::sso::{Departure, Sso, SsoError, issuer::Issuer},
};

async fn begin(sso: &Sso, provider: &Arc<SsoProvider>) -> Result<Departure, SsoError> {
    sso.begin(provider, WISH, &HeaderMap::new()).await
}

#[tokio::test]
async fn a_provider_out_of_reach_is_named_and_found_again() {
    let Some(mut idp) = Idp::start() else { return };
    let (sso, provider) = (sso(), idp.provider());
    idp.stop();
    let error = begin(&sso, &provider).await.unwrap_err();
    let SsoError::Unreachable { issuer, why } = &error else { panic!("{error}") };
    assert_eq!(*issuer, provider.issuer);
    assert!(why.contains("refused"), "{why}");

    idp.start_again();
    let end = Instant::now() + SOON;
    while let Err(error) = begin(&sso, &provider).await {
        assert!(Instant::now() < end, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_a_day_old_is_asked_for_again_and_serves_until_it_is_answered() {
    let Some(mut idp) = Idp::start() else { return };
    let issuer = Issuer::new(idp.provider());
    let first = issuer.known().await.unwrap();
    let tomorrow = Instant::now() + Duration::from_hours(24);
    let second = issuer.known_at(tomorrow).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&second, &issuer.known().await.unwrap()));

    idp.stop();
    for _ in 0..2 {
        // Whether another key is known there: nobody says so.
        let error = issuer.other_than(&second).await.err().unwrap();
        assert!(matches!(error, SsoError::Unreachable { .. }), "{error}");
    }
    let after = Instant::now() + Duration::from_hours(25);
    assert!(Arc::ptr_eq(&second, &issuer.known_at(after).await.unwrap()));
}

#[tokio::test]
async fn many_visitors_cost_a_provider_in_trouble_one_request() {
    let stub = Stub::start("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let sso = sso();
    let all = join_all((0..50).map(|_| begin(&sso, &stub.provider))).await;
    for result in all {
        let error = result.unwrap_err();
        assert!(matches!(error, SsoError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("503"), "{error}");
    }
    assert_eq!(stub.requests(), 1);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_the_end() {
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n".to_vec();
    answer.resize(2 << 20, b' ');
    let error = begin(&sso(), &Stub::start(answer).provider).await.unwrap_err();
    assert!(error.to_string().contains("more than 1 MiB"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Stub::start("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let to = &elsewhere.provider.issuer;
    let stub =
        Stub::start(format!("HTTP/1.1 302 Found\r\nLocation: {to}/\r\nContent-Length: 0\r\n\r\n"));
    let error = begin(&sso(), &stub.provider).await.unwrap_err();
    assert!(error.to_string().contains("it answers 302"), "{error}");
    assert_eq!((stub.requests(), elsewhere.requests()), (1, 0));
}

#[tokio::test]
async fn a_server_that_the_authority_does_not_vouch_for_is_not_believed() {
    let (Some(idp), Some(other)) = (Idp::start(), Idp::start()) else { return };
    let mut provider = idp.plain();
    provider.ca_file = Some(other.authority());
    let error = begin(&sso(), &Arc::new(provider)).await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn settings_that_changed_hold_for_the_next_login() {
    let Some(idp) = Idp::start() else { return };
    let (sso, mut provider) = (sso(), idp.plain());
    begin(&sso, &Arc::new(provider.clone())).await.unwrap();
    provider.client_id = "other".to_owned();
    let departure = begin(&sso, &Arc::new(provider)).await.unwrap();
    assert!(departure.url.contains("client_id=other"), "{}", departure.url);
}
