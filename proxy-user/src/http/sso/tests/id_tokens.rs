//! ID tokens, good and forged, made by hand.

use std::{sync::Arc, time::Duration};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD as BASE64, Engine as _};
use openidconnect::Nonce;
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};

use crate::{
    config::SsoProvider,
    http::sso::{
        identity::{Expected, claims},
        known::Known,
        oidc::IdToken,
        web::Web,
    },
    record::Timestamp,
};

const ISSUER: &str = "https://idp.example.com";
const SECRET: &str = "the client's secret";

fn new_key() -> Ed25519KeyPair {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()
}

/// A provider that signs with that key, and says that it signs with secrets too.
fn known(key: &Ed25519KeyPair) -> Known {
    let provider = Arc::new(SsoProvider {
        name: "corp".to_owned(),
        issuer: ISSUER.to_owned(),
        client_id: "weir".to_owned(),
        client_secret: SECRET.to_owned(),
        scopes: Vec::new(),
        groups_claim: "groups".to_owned(),
        callback: None,
        recheck: Duration::from_hours(1),
        ca_file: None,
    });
    let metadata = json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/auth"),
        "token_endpoint": format!("{ISSUER}/token"),
        "jwks_uri": format!("{ISSUER}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "HS256", "none"],
    });
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "one", "use": "sig",
                      "x": BASE64.encode(key.public_key()) });
    let metadata: openidconnect::core::CoreProviderMetadata =
        serde_json::from_value(metadata).unwrap();
    let keys = serde_json::from_value(json!({ "keys": [jwk] })).unwrap();
    Known::new(&provider, Web::new(&provider).unwrap(), metadata.set_jwks(keys)).unwrap()
}

/// What a provider says that is believed.
fn good() -> Value {
    let now = Timestamp::now().0 / 1000;
    json!({ "iss": ISSUER, "aud": "weir", "sub": "u1", "nonce": "n", "iat": now, "exp": now + 60 })
}

fn with(changes: Value) -> Value {
    let mut claims = good();
    let Value::Object(changes) = changes else { panic!("no object") };
    claims.as_object_mut().unwrap().extend(changes);
    claims
}

fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let [header, claims] = [header, claims].map(|part| BASE64.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let signature = BASE64.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn signed(key: &Ed25519KeyPair, kid: &str, claims: &Value) -> String {
    let sign = |bytes: &[u8]| key.sign(bytes).as_ref().to_vec();
    token(&json!({ "alg": "EdDSA", "kid": kid }), claims, sign)
}

fn judge(known: &Known, token: &str) -> Result<String, String> {
    let token: IdToken = token.parse().map_err(|error| format!("{error}"))?;
    let nonce = Nonce::new("n".to_owned());
    let claims = claims(known, &token, Expected::Login(&nonce)).map_err(|e| e.to_string())?;
    Ok(claims.subject().to_string())
}

#[test]
fn a_token_for_this_login_is_believed() {
    let key = new_key();
    let known = known(&key);
    let late = Timestamp::now().0 / 1000 - 50;
    for changes in [
        json!({}),
        json!({ "aud": ["weir"] }),
        json!({ "azp": "weir" }),
        json!({ "aud": ["weir", "another"], "azp": "weir" }),
        json!({ "exp": late }),
    ] {
        let claims = with(changes);
        assert_eq!(judge(&known, &signed(&key, "one", &claims)).as_deref(), Ok("u1"), "{claims}");
    }
}

#[test]
fn a_token_about_anything_else_is_not() {
    let key = new_key();
    let known = known(&key);
    let over = Timestamp::now().0 / 1000 - 61;
    for changes in [
        json!({ "iss": "https://evil.example.com" }),
        json!({ "aud": "another" }),
        json!({ "aud": [] }),
        json!({ "aud": ["weir", "another"] }),
        json!({ "aud": ["weir", "another"], "azp": "another" }),
        json!({ "azp": "another" }),
        json!({ "exp": over }),
        json!({ "nonce": "m" }),
        json!({ "nonce": null }),
        json!({ "sub": null }),
        json!({ "exp": null }),
    ] {
        let claims = with(changes);
        let judged = judge(&known, &signed(&key, "one", &claims));
        assert!(judged.is_err(), "{claims}");
    }
}

#[test]
fn a_token_that_the_provider_did_not_sign_is_not_believed() {
    let key = new_key();
    let known = known(&key);
    let other = new_key();
    let secret = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let public = hmac::Key::new(hmac::HMAC_SHA256, key.public_key().as_ref());
    let by = |key: &hmac::Key| {
        let sign = |bytes: &[u8]| hmac::sign(key, bytes).as_ref().to_vec();
        token(&json!({ "alg": "HS256", "kid": "one" }), &good(), sign)
    };
    let genuine = signed(&key, "one", &good());
    let (claims, signature) = genuine.rsplit_once('.').unwrap();
    let forged = signed(&key, "one", &with(json!({ "sub": "admin" })));
    let (changed, _) = forged.rsplit_once('.').unwrap();
    for token in [
        signed(&other, "one", &good()),
        signed(&other, "two", &good()),
        by(&secret),
        by(&public),
        token(&json!({ "alg": "none" }), &good(), |_| Vec::new()),
        token(&json!({ "alg": "EdDSA", "kid": "one" }), &good(), |_| Vec::new()),
        format!("{changed}.{signature}"),
        claims.to_owned(),
        String::new(),
    ] {
        let judged = judge(&known, &token);
        assert!(judged.is_err(), "{token}: {judged:?}");
    }
}
