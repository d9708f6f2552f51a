//! Who may use a service over HTTP, in valid files.

use std::time::Duration;

use super::{HASH, config_with, files, pair, published, warnings};
use crate::config::{Auth, Listen, ListenAddress, SecretHash, SsoAllow, load};

const PROVIDER: &str = "[sso.corp]\nissuer = \"https://idp.example.com\"\nclient_id = \"weir\"\n\
                        client_secret_file = \"DIR/sso.secret\"\n";

fn auth(lines: &str) -> Auth {
    let text = format!(
        "{PROVIDER}[service.a]\ndomain = \"a.example.com\"\ntarget = \"http://10.0.0.7\"\n{lines}\n"
    );
    let config = config_with(&text, &[("sso.secret", "s3cret \n")]);
    config.services[0].web().unwrap().auth.clone().unwrap()
}

#[test]
fn everything_about_authentication_is_read() {
    let digits = "0a".repeat(32);
    let auth = auth(&format!(
        r#"
        [service.a.auth]
        session_lifetime = "8h"
        password = {{ hash = "HASH" }}
        pin      = {{ hash = "HASH" }}
        headers  = [{{ name = "X-Api-Key", hash = "sha256:{digits}" }}, {{ name = "X-Api-Key", hash = "HASH" }}]
        sso      = {{ provider = "corp", allowed_groups = ["Admins"], allowed_emails = ["Ann@Example.com"], allowed_domains = ["Example.org"] }}
        lockout  = {{ attempts = 3, duration = "1h" }}
        "#
    ));
    assert_eq!(auth.session_lifetime, Duration::from_hours(8));
    assert_eq!(auth.password, Some(SecretHash::Argon2id(HASH.into())));
    assert_eq!(auth.pin, auth.password);
    let names: Vec<&str> = auth.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(names, ["x-api-key", "x-api-key"]);
    assert_eq!(auth.headers[0].hash, SecretHash::Sha256([10; 32]));
    assert_eq!(auth.lockout.attempts, 3);
    assert_eq!(auth.lockout.window, Duration::from_mins(10));
    assert_eq!(auth.lockout.duration, Duration::from_hours(1));
    let sso = auth.sso.unwrap();
    let SsoAllow::Listed { groups, emails, domains } = &sso.allow else { panic!("any user") };
    assert_eq!(
        (&groups[0][..], &emails[0][..], &domains[0][..]),
        ("Admins", "ann@example.com", "example.org")
    );
    let provider = &*sso.provider;
    assert_eq!((&provider.name[..], &provider.issuer[..]), ("corp", "https://idp.example.com"));
    assert_eq!((&provider.client_id[..], &provider.client_secret[..]), ("weir", "s3cret"));
    assert_eq!(provider.scopes, ["openid", "email", "profile"]);
    assert_eq!((&provider.groups_claim[..], provider.recheck), ("groups", Duration::from_hours(1)));
    assert_eq!((&provider.callback, &provider.ca_file), (&None, &None));
}

#[test]
fn short_forms_go_with_the_rest_of_the_long_one() {
    let auth =
        auth("pin = \"HASH\"\nsso = \"corp\"\n[service.a.auth]\nsession_lifetime = \"1h\"\n");
    assert_eq!(auth.pin, Some(SecretHash::Argon2id(HASH.into())));
    assert_eq!(auth.sso.unwrap().allow, SsoAllow::AnyUser);
    assert_eq!(auth.session_lifetime, Duration::from_hours(1));
}

#[test]
fn a_provider_can_be_given_in_full() {
    let (certificate, _) = pair(&["ca"]);
    let text = format!(
        "{PROVIDER}scopes = [\"openid\", \"groups\"]\ngroups_claim = \"roles\"\n\
         callback = \"https://Login.example.com/\"\nrecheck = \"5m\"\nca_file = \"DIR/ca.pem\"\n\
         [service.a]\ndomain = \"a.example.com\"\ntarget = \"http://10.0.0.7\"\n\
         auth.sso = {{ provider = \"corp\", allow_any_user = true }}\n"
    );
    let files = [("sso.secret", "s3cret"), ("ca.pem", &*certificate)];
    let auth = config_with(&text, &files).services[0].web().unwrap().auth.clone().unwrap();
    let provider = auth.sso.unwrap().provider;
    assert_eq!(provider.scopes, ["openid", "groups"]);
    assert_eq!(provider.groups_claim, "roles");
    assert_eq!(provider.callback.as_deref(), Some("https://login.example.com"));
    assert_eq!(provider.recheck, Duration::from_mins(5));
    assert!(provider.ca_file.as_ref().unwrap().ends_with("ca.pem"));
    let shown = format!("{provider:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn nobody_signs_in_over_plain_http_but_on_loopback_or_behind_a_proxy() {
    let site = "[service.a]\ndomain = \"a.example.com\"\ntarget = \"http://10.0.0.7\"\n\
                tls = false\npassword = \"HASH\"\n";
    let loopback = published(&format!("{site}listen = [\"127.0.0.1:80\", \"[::1]:80\"]\n"));
    assert!(loopback.web().unwrap().auth.is_some());
    let behind = published(&format!("[http]\ntrusted_proxies = [\"10.0.0.1\"]\n{site}"));
    assert_eq!(behind.listen, [Listen { address: ListenAddress::Any, port: 80 }]);
}

#[test]
fn who_asks_for_a_password_is_not_open_to_all() {
    let site = "[service.a]\ndomain = \"a.example.com\"\n";
    let target = "target = \"http://10.0.0.7\"\n";
    let public = "[[service.a.route]]\npath = \"/hooks\"\npublic = true\n";
    let open = "1: service a is open to all: it has no restrictions, and";
    assert_eq!(warnings(&format!("{site}{target}")), [format!("{open} no authentication")]);
    assert_eq!(warnings(&format!("{site}{target}pin = \"HASH\"\n")), [""; 0]);
    let hooks = format!("{site}{target}pin = \"HASH\"\n{public}{target}");
    assert_eq!(warnings(&hooks), [""; 0]);
    let all = format!("{site}pin = \"HASH\"\n{public}{target}");
    assert_eq!(warnings(&all), [format!("{open} all of its routes are public")]);
}

/// Whoever wants that says so in the long form.
#[test]
fn an_open_provider_is_warned_about() {
    let warned = |line: &str| {
        let text = format!(
            "{PROVIDER}[service.a]\ndomain = \"a.example.com\"\ntarget = \"http://10.0.0.7\"\n{line}\n"
        );
        let (_dir, path) = files(&text, &[("sso.secret", "s3cret")]);
        load(&path).unwrap().warnings.into_iter().map(|w| (w.line, w.column)).collect::<Vec<_>>()
    };
    assert_eq!(warned("sso = \"corp\""), [(8, 7)]);
    assert_eq!(warned("auth.sso = { provider = \"corp\", allow_any_user = true }"), []);
    assert_eq!(warned("auth.sso = { provider = \"corp\", allowed_groups = [\"a\"] }"), []);
}
