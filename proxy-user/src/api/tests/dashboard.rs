//! The dashboard: who gets in, and what pages are made of.

use axum::http::{HeaderMap, Response, request::Builder};
use hyper::body::Incoming;

use super::{
    backend::{METRICS, READ},
    client::{Answer, whole},
    samples,
    server::Server,
};
use crate::record::{Protocol, Verdict};

const PAGES: [&str; 6] =
    ["/", "/activity/proxy-events", "/activity/audit", "/flows", "/services", "/explain"];

async fn send(request: Builder, body: &str, server: &Server) -> Answer {
    whole(server.remote(request, body).await).await
}

async fn try_token(server: &Server, token: &str) -> Answer {
    let origin = format!("http://{}", server.address);
    let request = server.request("POST", "/sign-in").header("origin", origin);
    send(request, &format!("token={token}&next=%2Fflows"), server).await
}

/// The cookie of somebody who has signed in.
async fn signed_in(server: &Server) -> String {
    let answer = try_token(server, READ).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["location"]),
        (303, &"/flows".parse().unwrap())
    );
    cookie(&answer.headers)
}

fn cookie(headers: &HeaderMap) -> String {
    let line = headers["set-cookie"].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"] {
        assert!(line.contains(part), "{line}");
    }
    line.split(';').next().unwrap().to_owned()
}

async fn with_cookie(server: &Server, target: &str, cookie: &str) -> Answer {
    send(server.request("GET", target).header("cookie", cookie), "", server).await
}

async fn opened(server: &Server, target: &str, cookie: &str) -> Response<Incoming> {
    server.remote(server.request("GET", target).header("cookie", cookie), "").await
}

#[tokio::test]
async fn pages_are_for_those_who_are_signed_in() {
    let server = Server::start();
    for page in PAGES {
        let answer = send(server.request("GET", page), "", &server).await;
        assert_eq!(answer.status, 303, "{page}");
        assert!(answer.headers["location"].to_str().unwrap().starts_with("/sign-in"), "{page}");
    }
    let cookie = signed_in(&server).await;
    for page in PAGES {
        let answer = with_cookie(&server, page, &cookie).await;
        assert_eq!(answer.status, 200, "{page}");
        assert_eq!(answer.headers["cache-control"], "no-store");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!answer.text().contains("style=") && !answer.text().contains("onclick"), "{page}");
    }
    assert_eq!(server.memory.changes.lock()[0], "SignedIn reader 127.0.0.1");
}

#[tokio::test]
async fn only_a_token_that_reads_signs_in() {
    let server = Server::start();
    for (token, said) in [
        ("wrong", "unknown, revoked or expired"),
        (&READ[..READ.len() - 1], "unknown, revoked or expired"),
        ("", "unknown, revoked or expired"),
        (METRICS, "may read /metrics only"),
    ] {
        let answer = try_token(&server, token).await;
        assert_eq!(answer.status, 403, "{token}");
        assert!(answer.text().contains(said), "{token}: {}", answer.text());
        assert!(!answer.headers.contains_key("set-cookie"), "{token}");
    }
}

#[tokio::test]
async fn wrong_tokens_are_limited_and_noted() {
    let server = Server::start();
    for _ in 0..10 {
        assert_eq!(try_token(&server, "wrong").await.status, 403);
    }
    let answer = try_token(&server, "wrong").await;
    assert_eq!(answer.status, 429);
    assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 61);
    signed_in(&server).await;
    let noted = ["Refused  127.0.0.1", "SignedIn reader 127.0.0.1"];
    assert_eq!(*server.memory.changes.lock(), noted, "whoever has a token is not locked out");
}

#[tokio::test]
async fn only_a_page_is_come_back_to() {
    let server = Server::start();
    let origin = format!("http://{}", server.address);
    for (method, led) in [("GET", "/sign-in?next=/flows%3Fa%3Db"), ("POST", "/sign-in")] {
        let path = if method == "GET" { "/flows?a=b" } else { "/sign-out" };
        let request = server.request(method, path).header("origin", &origin);
        assert_eq!(send(request, "", &server).await.headers["location"], led, "{method}");
    }
}

#[tokio::test]
async fn a_time_that_a_page_has_by_itself_can_be_taken_back() {
    let server = Server::start();
    let cookie = signed_in(&server).await;
    let page = with_cookie(&server, "/", &cookie).await;
    assert!(page.text().contains("href=\"/?range=all\""), "{}", page.text());
    let all = with_cookie(&server, "/?range=all", &cookie).await;
    assert!(!all.text().contains("Filters in force"), "{}", all.text());
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let server = Server::start();
    let cookie = signed_in(&server).await;
    for (target, cookie) in [("/sign-in", &*cookie), ("/sign-out", &cookie), ("/sign-out", "")] {
        for origin in [Some("http://evil.example.com"), Some("null"), None] {
            let mut request = server.request("POST", target).header("cookie", cookie);
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let message = send(request, &format!("token={READ}"), &server).await.error(403);
            assert!(message.contains("Origin"), "{message}");
        }
    }
    let foreign = axum::http::Request::get("/sign-in").header("host", "evil.example.com");
    send(foreign, "", &server).await.error(421);
    assert_eq!(with_cookie(&server, "/flows", &cookie).await.status, 200);
}

#[tokio::test]
async fn a_session_reads_the_api_for_pages_of_ours_and_changes_nothing() {
    let server = Server::start();
    let cookie = signed_in(&server).await;
    assert_eq!(with_cookie(&server, "/api/status", &cookie).await.status, 200);
    with_cookie(&server, "/metrics", &cookie).await.error(401);
    let cross = server.request("GET", "/api/status").header("cookie", &cookie);
    send(cross.header("sec-fetch-site", "cross-site"), "", &server).await.error(401);
    let post = server.request("POST", "/api/reload").header("cookie", &cookie);
    send(post, "", &server).await.error(401);
    let both = server.request("GET", "/api/status").header("cookie", &cookie);
    send(both.header("authorization", "Bearer wrong"), "", &server).await.error(401);
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_by_signing_out() {
    let server = Server::start();
    let (first, second) = (signed_in(&server).await, signed_in(&server).await);
    let origin = format!("http://{}", server.address);
    let out = server.request("POST", "/sign-out").header("cookie", &first).header("origin", origin);
    let answer = send(out, "", &server).await;
    assert_eq!(answer.status, 303);
    assert!(answer.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    with_cookie(&server, "/api/status", &first).await.error(401);
    assert_eq!(with_cookie(&server, "/flows", &first).await.status, 303);
    assert_eq!(with_cookie(&server, "/flows", &second).await.status, 200);
    assert!(server.memory.changes.lock().contains(&"SignedOut reader 127.0.0.1".to_owned()));

    server.memory.revoke(READ);
    with_cookie(&server, "/api/status", &second).await.error(401);
    assert_eq!(with_cookie(&server, "/flows", &second).await.status, 303);
}

#[tokio::test]
async fn following_ends_as_somebody_signs_out() {
    let server = Server::start();
    let cookie = signed_in(&server).await;
    let stream = opened(&server, "/api/events/proxy/stream", &cookie).await;
    assert_eq!(stream.status(), 200);
    let origin = format!("http://{}", server.address);
    let out = server.request("POST", "/sign-out").header("cookie", &cookie);
    assert_eq!(send(out.header("origin", origin), "", &server).await.status, 303);
    server.memory.commit(samples::record("app", Verdict::Allowed));
    assert_eq!(whole(stream).await.text(), "");
}

#[tokio::test]
async fn what_comes_from_the_network_stays_text() {
    let server = Server::start();
    let mut record = samples::record("app", Verdict::Denied);
    let evil = "/<script>alert(1)</script>\"'";
    record.draft.protocol = Protocol::Http;
    record.draft.http.as_mut().unwrap().path = evil.into();
    record.draft.http.as_mut().unwrap().user_agent = evil.into();
    record.draft.http.as_mut().unwrap().method = "<b>".into();
    let id = server.memory.commit(record);
    let cookie = signed_in(&server).await;
    for page in ["/activity/proxy-events".to_owned(), format!("/activity/proxy-events/{id}")] {
        let answer = with_cookie(&server, &page, &cookie).await;
        assert_eq!(answer.status, 200, "{page}");
        assert!(answer.text().contains("&#60;script&#62;alert(1)"), "{}", answer.text());
        assert!(!answer.text().contains("<script>alert") && !answer.text().contains("<b><"));
    }
    let page = "/activity/proxy-events?search=%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    let answer = with_cookie(&server, page, &cookie).await;
    assert!(!answer.text().contains("<script>alert"), "{}", answer.text());
}

#[tokio::test]
async fn a_query_that_every_link_would_repeat_has_a_bound() {
    let server = Server::start();
    let cookie = signed_in(&server).await;
    let long = format!("/activity/proxy-events?host={}", "a".repeat(4096));
    with_cookie(&server, &long, &cookie).await.error(414);
}

#[tokio::test]
async fn one_more_value_can_be_typed_and_a_user_has_one_name() {
    let server = Server::start();
    let cookie = signed_in(&server).await;
    let page = "/activity/proxy-events?country_code=DE&user_name=bob";
    let answer = with_cookie(&server, page, &cookie).await;
    for part in [
        "id=\"f-country_code\" name=\"country_code\" value=\"DE\"",
        "id=\"f-country_code-1\" name=\"country_code\" value=\"\"",
        "name=\"user_email\" value=\"bob\"",
    ] {
        assert!(answer.text().contains(part), "{part}: {}", answer.text());
    }
}

#[tokio::test]
async fn bad_filters_are_named_on_the_page() {
    let server = Server::start();
    let cookie = signed_in(&server).await;
    for (query, said) in [
        ("reason=none", "reason: &#34;none&#34; is not one of ip_restricted"),
        ("range=3h", "range: &#34;3h&#34; is not one of all, 15m"),
        ("colour=red", "unknown parameter &#34;colour&#34;"),
        ("source_ip=10.0.0.1/8", "10.0.0.0/8 has none"),
    ] {
        for page in ["/", "/activity/proxy-events"] {
            let answer = with_cookie(&server, &format!("{page}?{query}"), &cookie).await;
            assert_eq!(answer.status, 400, "{page} {query}");
            assert!(answer.text().contains(said), "{page} {query}: {}", answer.text());
        }
    }
    let answer = with_cookie(&server, "/explain?ip=nowhere", &cookie).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("is not an IP address"));
}

#[tokio::test]
async fn files_are_kept_by_browsers_under_names_that_change() {
    let server = Server::start();
    let page = send(server.request("GET", "/sign-in"), "", &server).await;
    let start = page.text().find("/assets/").unwrap();
    let style = page.text()[start..].split('"').next().unwrap();
    let file = send(server.request("GET", style), "", &server).await;
    assert_eq!(file.status, 200);
    assert!(file.headers["cache-control"].to_str().unwrap().contains("immutable"));
    let folder = style.rsplit_once('/').unwrap().0;
    let flag = send(server.request("GET", &format!("{folder}/flags/DE.svg")), "", &server).await;
    assert_eq!(flag.headers["content-type"], "image/svg+xml");
    for gone in [format!("{folder}/none.css"), "/assets/0000/dashboard.css".to_owned()] {
        send(server.request("GET", &gone), "", &server).await.error(404);
    }
}
