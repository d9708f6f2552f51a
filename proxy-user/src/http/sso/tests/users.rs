//! Whom a service lets pass, and what is believed of users.

use serde_json::{Value, json};

use crate::{
    config::SsoAllow,
    http::sso::{
        User,
        oidc::{IdTokenClaims, UserInfo},
        permits,
        told::Told,
    },
};

fn listed(groups: &[&str], emails: &[&str], domains: &[&str]) -> SsoAllow {
    let [groups, emails, domains] =
        [groups, emails, domains].map(|list| list.iter().copied().map(str::to_owned).collect());
    SsoAllow::Listed { groups, emails, domains }
}

fn user(email: Option<&str>, groups: &[&str]) -> User {
    let groups = groups.iter().copied().map(str::to_owned).collect();
    User { id: "u1".to_owned(), email: email.map(str::to_owned), groups }
}

#[test]
fn a_user_on_one_of_the_lists_may_come() {
    let alice = user(Some("Alice@Example.COM"), &["staff"]);
    assert!(permits(&SsoAllow::AnyUser, &user(None, &[])));
    assert!(permits(&listed(&["admins", "staff"], &[], &[]), &alice));
    assert!(permits(&listed(&[], &["alice@example.com"], &[]), &alice));
    assert!(permits(&listed(&["admins"], &["bob@example.com"], &["example.com"]), &alice));
}

#[test]
fn a_user_who_is_almost_on_a_list_may_not() {
    let alice = user(Some("alice@example.com"), &["staff"]);
    let lists = [
        listed(&[], &[], &[]),
        listed(&["Staff", "staf", "staff "], &[], &[]),
        listed(&[], &["example.com", "lice@example.com"], &[]),
        listed(&[], &[], &["alice@example.com", "sub.example.com", "ample.com", "@example.com"]),
    ];
    for list in lists {
        assert!(!permits(&list, &alice), "{list:?}");
    }
    let all = listed(&["admins"], &["alice@example.com"], &["example.com", ""]);
    assert!(!permits(&all, &user(None, &["alice@example.com"])), "no verified e-mail");
    let below = user(Some("mallory@evil.example.com"), &[]);
    assert!(!permits(&listed(&[], &[], &["example.com"]), &below));
    // The sign of kelvin, which is a k in lower case.
    let kim = user(Some("\u{212a}im@example.com"), &[]);
    assert!(!permits(&listed(&[], &["kim@example.com"], &[]), &kim));
    let two = user(Some("a@example.com@evil.org"), &[]);
    assert!(!permits(&listed(&[], &[], &["example.com"]), &two));
}

fn userinfo(mut claims: Value) -> Option<User> {
    claims["sub"] = "u1".into();
    let info = UserInfo::from_json::<std::io::Error>(claims.to_string().as_bytes(), None).unwrap();
    Told::by_userinfo(&info, "https://example.com/roles").user("u1")
}

#[test]
fn groups_are_a_text_or_a_list_of_texts() {
    let groups =
        |value: Value| userinfo(json!({ "https://example.com/roles": value })).unwrap().groups;
    assert_eq!(groups(json!(["a", "b c"])), ["a", "b c"]);
    assert_eq!(groups(json!("a b")), ["a b"]);
    assert_eq!(groups(json!(["a", null, ["b"], { "c": 1 }, "x".repeat(257)])), ["a"]);
    assert_eq!(groups(json!({ "a": true })), Vec::<String>::new());
    assert_eq!(groups(json!(vec!["g"; 10_000])).len(), 500);
    assert_eq!(userinfo(json!({ "groups": ["a"] })).unwrap().groups, Vec::<String>::new());
}

#[test]
fn an_email_counts_where_the_provider_verified_it() {
    let email = |email: &str, verified: Value| {
        userinfo(json!({ "email": email, "email_verified": verified })).unwrap().email
    };
    assert_eq!(email("a@b.c", json!(true)).as_deref(), Some("a@b.c"));
    assert_eq!(email("a@b.c", json!("true")).as_deref(), Some("a@b.c"));
    assert_eq!(email("a@b.c", json!("false")), None);
    assert_eq!(email("a@b.c", json!(null)), None);
    for odd in ["", "a", "@b.c", "a@", "a\n@b.c", &format!("{}@b.c", "a".repeat(400))] {
        assert_eq!(email(odd, json!(true)), None, "{odd:?}");
    }
}

#[test]
fn the_id_token_is_believed_first() {
    let token = json!({ "iss": "https://idp.example.com", "aud": ["weir"], "sub": "u1",
                        "exp": 1, "iat": 1, "groups": ["a"], "email": "a@b.c" });
    let token: IdTokenClaims = serde_json::from_value(token).unwrap();
    let told = || Told::by_token(&token, "groups");
    assert!(!told().is_whole(), "whether the e-mail is verified is not told");
    let info = json!({ "sub": "u1", "groups": ["b"], "email": "a@b.c", "email_verified": true });
    let info = UserInfo::from_json::<std::io::Error>(info.to_string().as_bytes(), None).unwrap();
    let both = told().or(Told::by_userinfo(&info, "groups"));
    assert!(both.is_whole());
    assert_eq!(both.user("u1"), Some(user(Some("a@b.c"), &["a"])));
    assert_eq!(told().user(""), None);
    assert_eq!(told().user(&"x".repeat(256)), None);
}
