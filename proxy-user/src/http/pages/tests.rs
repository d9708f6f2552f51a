#![allow(clippy::unwrap_used, reason = "tests")]

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::{HeaderMap, Response, StatusCode, header::HeaderValue};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{response::wants_html, *};

const ID: Uuid = Uuid::from_u128(7);
const HTML: &[FieldKind] = &[FieldKind::Password, FieldKind::Pin];

fn browser() -> HeaderMap {
    let accept = HeaderValue::from_static("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
    HeaderMap::from_iter([(hyper::header::ACCEPT, accept)])
}

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

fn login(return_to: &str, wrong: Option<(FieldKind, &'static str)>) -> Response<Bytes> {
    let sso = SsoButton { provider: "corp", start: "/.weir/sso/start?return_to=%2F".into() };
    let page = Login::new(("wiki.example.com", ID), return_to, HTML, Some(sso), wrong);
    respond(StatusCode::UNAUTHORIZED, &browser(), &page, "")
}

#[test]
fn a_page_may_load_nothing_but_its_own_style() {
    let response = login("/", None);
    let page = text(&response);
    let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let hash = STANDARD.encode(Sha256::digest(style));
    let policy = response.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(policy.contains(&format!("style-src 'sha256-{hash}'")), "{policy}");
    for outside in ["http://", "https://", "<script", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains(" style="), "the policy forbids it");
}

#[test]
fn no_page_is_kept_or_framed_or_guessed_at() {
    for response in [login("/", None), denied(ID, &HeaderMap::new())] {
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("referrer-policy"), "same-origin");
    }
}

#[test]
fn what_the_client_sent_is_text_on_the_page() {
    let response = login("/\"><script>alert(1)</script>", None);
    assert!(!text(&response).contains("<script"));
    let page = problem(StatusCode::BAD_GATEWAY, Hop::Target, "<b>", ID, &browser());
    assert!(!text(&page).contains("<b></p>") && text(&page).contains("&#60;b&#62;"));
}

#[test]
fn a_wrong_pin_is_told_at_its_field_which_has_the_focus() {
    let response = login("/", Some((FieldKind::Pin, "That PIN is wrong.")));
    let page = text(&response);
    let line = |of: &str| page.lines().find(|line| line.contains(of)).unwrap().to_owned();
    let (password, pin) = (line("id=\"password\""), line("id=\"pin\""));
    assert!(pin.contains("autofocus") && pin.contains("aria-describedby=\"pin-error\""), "{pin}");
    assert!(!password.contains("autofocus") && !password.contains("aria-"), "{password}");
    assert!(line("id=\"pin-error\"").contains("That PIN is wrong."));
    for field in ["password", "pin"] {
        assert!(page.contains(&format!("<label for=\"{field}\">")));
    }
}

#[test]
fn a_failure_names_its_hop_and_request_to_browsers_and_programs() {
    let of = |headers| problem(StatusCode::BAD_GATEWAY, Hop::Target, "It is down.", ID, headers);
    let headers = browser();
    let response = of(&headers);
    let page = text(&response);
    assert!(page.contains("<li class=\"failed\"><b>Site</b><span>failed here</span>"), "{page}");
    assert!(page.contains(&ID.to_string()));
    let headers = HeaderMap::new();
    let response = of(&headers);
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(
        text(&response),
        format!("502 The site gave no good answer\nIt is down.\nFailed at: target\nRequest {ID}\n")
    );
}

#[test]
fn html_goes_to_those_who_ask_for_it() {
    let accepts = |value| {
        let accept = HeaderValue::from_static(value);
        wants_html(&HeaderMap::from_iter([(hyper::header::ACCEPT, accept)]))
    };
    assert!(accepts("application/json, Text/HTML;q=0.5"));
    assert!(!accepts("*/*") && !accepts("application/json") && !accepts("text/htmlx"));
}

#[test]
fn a_redirect_has_its_place_in_header_and_page() {
    let place = HeaderValue::from_static("https://wiki.example.com/a?b=1&c=2");
    let response = redirect(StatusCode::PERMANENT_REDIRECT, &place, ID, &browser());
    assert_eq!(response.headers()["location"], place);
    assert!(text(&response).contains("href=\"https://wiki.example.com/a?b=1&#38;c=2\""));
}
