//! Logins under way, as browsers keep them.

use hyper::{HeaderMap, header::COOKIE};

use crate::{
    http::{
        auth::remove_own_cookies,
        sealing::SealingKey,
        sso::{
            StateFault,
            attempt::{Attempt, LIFETIME_MS},
            cookie,
        },
    },
    record::Timestamp,
};

const STATE: &str = "abcdefghijklmnopqrst-_";
const BEGUN: Timestamp = Timestamp(1_800_000_000_000);

fn key() -> SealingKey {
    SealingKey::new(&[7; 32]).unwrap()
}

fn attempt(return_to: &str) -> Attempt {
    Attempt {
        provider: "corp".to_owned(),
        service: "app".to_owned(),
        origin: "https://app.example.com".to_owned(),
        return_to: return_to.to_owned(),
        nonce: "nonce".to_owned(),
        verifier: "v".repeat(43),
        expires: Timestamp(BEGUN.0 + LIFETIME_MS),
    }
}

fn cookies(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, text.parse().unwrap());
    headers
}

/// After so many milliseconds.
fn back_after(ms: i64, key: &SealingKey, attempt: &Attempt) -> Result<Attempt, StateFault> {
    let name = cookie::name(STATE, true).unwrap();
    let value = attempt.clone().seal(key, &name).unwrap();
    let cookies = cookies(&format!("a=b; {name}={value}; c"));
    let (found, by) = Attempt::of(key, STATE, &cookies, Timestamp(BEGUN.0 + ms))?;
    assert_eq!(by, name);
    Ok(found)
}

#[test]
fn a_login_may_take_ten_minutes() {
    let (key, attempt) = (key(), attempt("/a?b=c"));
    assert_eq!(back_after(0, &key, &attempt), Ok(attempt.clone()));
    assert_eq!(back_after(LIFETIME_MS - 1, &key, &attempt), Ok(attempt.clone()));
    assert_eq!(back_after(LIFETIME_MS, &key, &attempt), Err(StateFault::Expired));
}

#[test]
fn a_cookie_that_was_tampered_with_is_no_login() {
    let key = key();
    let name = cookie::name(STATE, true).unwrap();
    let value = attempt("/").seal(&key, &name).unwrap();
    let of = |cookie: &str, state| Attempt::of(&key, state, &cookies(cookie), BEGUN).map(|_| ());
    assert_eq!(of(&format!("{name}={value}"), STATE), Ok(()));
    assert_eq!(of(&format!("{name}={value}A"), STATE), Err(StateFault::Forged));
    assert_eq!(of(&format!("{name}=%%%"), STATE), Err(StateFault::Forged));
    // One that was not set over TLS.
    let plain = name.trim_start_matches("__Host-");
    assert_eq!(of(&format!("{plain}={value}"), STATE), Err(StateFault::Forged));
    // By the name of another login.
    let other = STATE.replace('a', "z");
    let renamed = name.replace(STATE, &other);
    assert_eq!(of(&format!("{renamed}={value}"), &other), Err(StateFault::Forged));
    for state in ["", "abc", "abcdefghijklmnopqrst-;", &"x".repeat(5000)] {
        assert_eq!(of(&format!("{name}={value}"), state), Err(StateFault::Missing), "{state}");
    }
}

#[test]
fn a_return_address_that_fits_into_a_cookie_is_kept_whole() {
    let key = key();
    let kept = |return_to: &str| back_after(0, &key, &attempt(return_to)).unwrap().return_to;
    let long = format!("/reports?{}", "q".repeat(2500));
    assert_eq!(kept(&long), long);
    assert_eq!(kept(&format!("/reports?{}", "q".repeat(8000))), "/reports");
    assert_eq!(kept(&format!("/{}?q", "p".repeat(8000))), "/");
}

#[test]
fn a_browser_keeps_few_logins_that_are_not_finished() {
    let line = |count: usize, value: &str| {
        let own = (0..count).map(|n| format!("__Host-weir-sso-{n}={value}"));
        cookies(&format!("weir-sso={value}; {}", own.collect::<Vec<_>>().join("; ")))
    };
    assert_eq!(cookie::surplus(&line(7, "v")), Vec::<String>::new());
    assert_eq!(cookie::surplus(&line(9, "v")), ["__Host-weir-sso-1", "__Host-weir-sso-0"]);
    // Of long ones fewer: a request's header has room for so much.
    assert_eq!(cookie::surplus(&line(4, &"v".repeat(3000))).len(), 3);
    assert_eq!(cookie::surplus(&HeaderMap::new()), Vec::<String>::new());
}

#[test]
fn targets_do_not_see_logins() {
    let [safe, plain] = [true, false].map(|secure| cookie::name(STATE, secure).unwrap());
    let mut headers = cookies(&format!("{safe}=v; session=s; {plain}=v"));
    remove_own_cookies(&mut headers);
    assert_eq!(headers[COOKIE], "session=s");
}
