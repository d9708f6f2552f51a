//! Who may do what over TCP.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    backend::{METRICS, READ},
    client::{Answer, whole},
    server::{Server, bearer},
};
use crate::api::routes::ROUTES;

async fn with(server: &Server, target: &str, name: &str, value: &str) -> Answer {
    whole(server.remote(server.request("GET", target).header(name, value), "").await).await
}

#[tokio::test]
async fn a_token_is_needed_but_for_health() {
    let server = Server::start();
    for target in ["/api/status", "/metrics", "/api/openapi.json", "/nowhere"] {
        let answer = whole(server.remote(server.request("GET", target), "").await).await;
        answer.error(401);
        assert_eq!(answer.headers["www-authenticate"], "Bearer", "{target}");
    }
    for target in ["/healthz/live", "/healthz/ready"] {
        let answer = whole(server.remote(server.request("GET", target), "").await).await;
        assert_eq!(answer.status, 200, "{target}");
    }
}

#[tokio::test]
async fn bearer_and_token_are_schemes_and_others_are_not() {
    let server = Server::start();
    for scheme in ["Bearer", "bearer", "Token", "TOKEN"] {
        let value = format!("{scheme} {READ}");
        let answer = with(&server, "/api/status", "authorization", &value).await;
        assert_eq!(answer.status, 200, "{scheme}");
    }
    for value in [READ.to_owned(), format!("Basic {READ}"), "Bearer".into(), bearer("wrong")] {
        with(&server, "/api/status", "authorization", &value).await.error(401);
    }
}

#[tokio::test]
async fn a_metrics_token_reads_metrics_only() {
    let server = Server::start();
    let token = bearer(METRICS);
    assert_eq!(with(&server, "/metrics", "authorization", &token).await.status, 200);
    for target in ["/api/status", "/api/events/proxy", "/metrics/", "/nowhere"] {
        let message = with(&server, target, "authorization", &token).await.error(403);
        assert!(message.contains("prometheus"), "{message}");
    }
}

#[tokio::test]
async fn a_token_in_the_url_is_refused() {
    let server = Server::start();
    for name in ["token", "access_token", "api_key", "authorization"] {
        let message = server.get(&format!("/api/status?{name}={READ}")).await.error(400);
        assert!(message.contains(name) && !message.contains(READ), "{message}");
    }
}

#[tokio::test]
async fn the_host_must_be_ours() {
    let server = Server::start();
    for host in ["127.0.0.1:1", "127.9.9.9", "localhost", "[::1]:8790", "Weir.Example.COM:443"] {
        let request = axum::http::Request::get("/healthz/live").header("host", host);
        assert_eq!(server.remote(request, "").await.status(), 200, "{host}");
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "192.0.2.1",
        "x@localhost",
    ] {
        let request = axum::http::Request::get("/healthz/live").header("host", host);
        whole(server.remote(request, "").await).await.error(421);
    }
    let without = axum::http::Request::get("/healthz/live");
    whole(server.remote(without, "").await).await.error(421);
}

#[tokio::test]
async fn only_allowed_addresses_are_served_and_a_reload_changes_them() {
    let server = Server::start();
    let mut api = server.config.api.clone();
    api.allow = vec!["192.0.2.0/24".parse().unwrap()];
    server.gate.replace(&api);
    assert!(server.get("/api/status").await.error(403).contains("127.0.0.1"));
    api.allow.push("127.0.0.0/8".parse().unwrap());
    server.gate.replace(&api);
    assert_eq!(server.get("/api/status").await.status, 200);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_json_errors() {
    let server = Server::start();
    server.get("/nowhere").await.error(404);
    server.get("/api/events/proxy/%ff").await.error(400);
    let request = server.request("PUT", "/api/status").header("authorization", bearer(READ));
    let answer = whole(server.remote(request, "").await).await;
    answer.error(405);
    assert!(answer.headers["allow"].to_str().unwrap().contains("GET"));
}

#[tokio::test]
async fn nothing_is_cached_or_sniffed() {
    let server = Server::start();
    for target in ["/api/status", "/nowhere"] {
        let headers = server.get(target).await.headers;
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn the_description_has_every_route_and_method_and_no_other() {
    let server = Server::start();
    let document: Value = server.get("/api/openapi.json").await.json();
    let described = document["paths"].as_object().unwrap();
    let paths: BTreeSet<&str> = described.keys().map(String::as_str).collect();
    assert_eq!(paths, ROUTES.iter().map(|(path, _)| *path).collect());
    for (path, methods) in described {
        let target = path.replace("{id}", "7").replace("{name}", "none");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let request = server.request(method, &target).header("authorization", bearer(READ));
            let status = server.remote(request, "").await.status();
            let described = methods.get(method.to_lowercase()).is_some();
            assert_eq!(status != 405, described, "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn the_description_has_every_parameter() {
    let server = Server::start();
    let document: Value = server.get("/api/openapi.json").await.json();
    let names = |path: &str| -> Vec<String> {
        let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
        let name = |parameter: &Value| match parameter["$ref"].as_str() {
            Some(reference) => reference.rsplit('/').next().unwrap().to_owned(),
            None => parameter["name"].as_str().unwrap().to_owned(),
        };
        parameters.iter().map(name).collect()
    };
    for path in [
        "/api/events/proxy",
        "/api/events/proxy/summary",
        "/api/events/audit",
        "/api/flows",
        "/api/explain",
    ] {
        for name in names(path) {
            // A value that is bad for most; none is unknown.
            let answer = server.get(&format!("{path}?{name}=%00")).await;
            assert!(!answer.text().contains("unknown parameter"), "{path}: {name}");
        }
    }
}
