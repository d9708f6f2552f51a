//! Users whom their provider is asked about again.

use std::sync::Arc;

use serde_json::json;

use super::{begin, browser::Browser, complete, idp::Idp, sso, user};
use crate::{
    config::SsoProvider,
    http::sso::{Sso, SsoError, User},
};

/// Alice, and her refresh token.
async fn sign_in(idp: &Idp, sso: &Sso, provider: &Arc<SsoProvider>) -> (User, String) {
    let mut browser = Browser::new();
    let departure = begin(sso, provider, &mut browser).await;
    let query = browser.sign_in(idp, &departure, Some("alice"));
    let arrival = complete(sso, provider, &browser, &query).await.unwrap();
    (arrival.user, arrival.refresh.unwrap())
}

async fn confirmed_groups(settings: &serde_json::Value) -> Option<(Vec<String>, Vec<String>)> {
    let idp = Idp::start_with(settings)?;
    let (sso, provider) = (sso(), idp.offline());
    let (alice, refresh) = sign_in(&idp, &sso, &provider).await;
    let (now, next) = sso.confirm(&provider, &alice, &refresh).await.unwrap();
    idp.has_users(&json!({ "alice": { "groups": ["leavers"] } }));
    let next = next.unwrap_or(refresh);
    let (later, _) = sso.confirm(&provider, &alice, &next).await.unwrap();
    Some((now.groups, later.groups))
}

#[tokio::test]
async fn whoever_is_confirmed_has_the_groups_of_now() {
    let Some((first, later)) = confirmed_groups(&json!({})).await else { return };
    assert_eq!((first, later), (vec!["admins".into(), "staff".into()], vec!["leavers".into()]));
}

#[tokio::test]
async fn groups_of_now_come_from_userinfo_as_well() {
    let settings = json!({ "claims_by_userinfo": true });
    let Some((first, later)) = confirmed_groups(&settings).await else { return };
    assert_eq!((first, later), (vec!["admins".into(), "staff".into()], vec!["leavers".into()]));
}

#[tokio::test]
async fn whoever_is_revoked_is_told_apart_from_a_provider_out_of_reach() {
    let Some(mut idp) = Idp::start() else { return };
    let (sso, provider) = (sso(), idp.offline());
    let (alice, refresh) = sign_in(&idp, &sso, &provider).await;
    idp.revoke(&refresh);
    let error = sso.confirm(&provider, &alice, &refresh).await.unwrap_err();
    let SsoError::Refused { error, .. } = error else { panic!("{error}") };
    assert_eq!(error, "invalid_grant");

    idp.stop();
    let error = sso.confirm(&provider, &alice, &refresh).await.unwrap_err();
    assert!(matches!(error, SsoError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_refresh_token_confirms_nobody_else() {
    let Some(idp) = Idp::start() else { return };
    let (sso, provider) = (sso(), idp.offline());
    let (_, refresh) = sign_in(&idp, &sso, &provider).await;
    let error = sso.confirm(&provider, &user("bob", &[]), &refresh).await.unwrap_err();
    assert!(error.to_string().contains("about another user"), "{error}");
}
