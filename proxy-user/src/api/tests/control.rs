//! The control socket, and what only it may do.

use std::{
    fs,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{
    backend::READ,
    client::whole,
    samples,
    server::{Server, bearer},
};
use crate::api::{
    BindError, Bound,
    model::{Created, Data, Reloaded, RevokedSessions, Scope, Session, Token},
};

const CHANGES: [(&str, &str); 8] = [
    ("POST", "/api/reload"),
    ("POST", "/api/reload/confirm"),
    ("GET", "/api/tokens"),
    ("POST", "/api/tokens"),
    ("DELETE", "/api/tokens/reader"),
    ("GET", "/api/sessions"),
    ("DELETE", "/api/sessions"),
    ("DELETE", "/api/sessions/0011223344556677"),
];

#[tokio::test]
async fn nothing_changes_over_tcp() {
    let server = Server::start();
    for (method, target) in CHANGES {
        let request = server.request(method, target).header("authorization", bearer(READ));
        let message = whole(server.remote(request, "{}").await).await.error(403);
        assert!(message.contains("weir.sock"), "{message}");
    }
    assert!(server.memory.changes.lock().is_empty());
}

#[tokio::test]
async fn the_socket_needs_no_token_and_no_host() {
    let server = Server::start();
    assert_eq!(server.local("GET", "/api/status", "").await.status, 200);
    assert_eq!(server.local("GET", "/metrics", "").await.status, 200);
}

#[tokio::test]
async fn a_reload_is_told_who_asked_and_how_long_to_wait() {
    let server = Server::start();
    let who = format!("uid {} (pid {})", nix::unistd::geteuid(), std::process::id());
    let plain: Reloaded = server.local("POST", "/api/reload", "").await.json();
    assert_eq!((plain.generation, plain.confirm_until), (8, None));
    let timed: Reloaded =
        server.local("POST", "/api/reload", r#"{"confirm_seconds":60}"#).await.json();
    assert!(timed.confirm_until.is_some());
    server.local("POST", "/api/reload/confirm", "").await.error(409);
    let expected = ["reload None", "reload Some(60s)", "confirm"];
    assert_eq!(*server.memory.changes.lock(), expected.map(|change| format!("{who}: {change}")));
    for bad in [r#"{"confirm_seconds":0}"#, r#"{"confirm":60}"#, "60", "{"] {
        server.local("POST", "/api/reload", bad).await.error(400);
    }
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let server = Server::start();
    let body = json!({ "name": "ci", "scope": "metrics", "expires_seconds": 60 }).to_string();
    let answer = server.local("POST", "/api/tokens", &body).await;
    assert_eq!(answer.status, 201);
    let created: Created = answer.json();
    assert_eq!((created.token.name.as_str(), created.token.scope), ("ci", Scope::Metrics));
    let listed = server.local("GET", "/api/tokens", "").await;
    assert!(!listed.text().contains(&created.secret));
    let tokens: Data<Token> = listed.json();
    assert!(tokens.data.contains(&created.token));
    assert_eq!(server.local("DELETE", "/api/tokens/ci", "").await.status, 204);
    server.local("DELETE", "/api/tokens/ci", "").await.error(404);
    for bad in [
        json!({}),
        json!({ "name": "" }),
        json!({ "name": "a b" }),
        json!({ "name": "a".repeat(65) }),
        json!({ "name": "a", "scope": "write" }),
        json!({ "name": "a", "expires_seconds": 0 }),
        json!({ "name": "a", "expires_seconds": 3_155_760_001_u64 }),
        json!({ "name": "a", "colour": "red" }),
    ] {
        server.local("POST", "/api/tokens", &bad.to_string()).await.error(400);
    }
}

#[tokio::test]
async fn sessions_are_listed_and_revoked() {
    let server = Server::start();
    let session = samples::session();
    let listed: Data<Session> = server.local("GET", "/api/sessions", "").await.json();
    assert_eq!(listed.data, std::slice::from_ref(&session));
    let one = format!("/api/sessions/{}", session.id);
    assert_eq!(server.local("DELETE", &one, "").await.status, 204);
    let message = server.local("DELETE", "/api/sessions/7", "").await.error(404);
    assert!(message.contains("\"7\""), "{message}");
    for target in ["/api/sessions?service=wiki", "/api/sessions?service=", "/api/sessions"] {
        let all: RevokedSessions = server.local("DELETE", target, "").await.json();
        assert_eq!(all.revoked, 2);
    }
    // Who means one service must not end all.
    server.local("DELETE", "/api/sessions?services=wiki", "").await.error(400);
    let changes = server.memory.changes.lock();
    let told: Vec<&str> =
        changes.iter().filter_map(|told| Some(told.split_once(": ")?.1)).collect();
    let expected = [
        &format!("revoke session {}", session.id),
        "revoke session 7",
        "revoke sessions Some(\"wiki\")",
        "revoke sessions None",
        "revoke sessions None",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_large_body_is_refused() {
    let server = Server::start();
    let body = format!("{{\"name\":\"{}\"}}", "a".repeat(64 * 1024));
    server.local("POST", "/api/tokens", &body).await.error(413);
}

#[tokio::test]
async fn clients_of_tcp_cannot_lock_the_socket_out() {
    let server = Server::start();
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    assert_eq!(server.local("GET", "/api/status", "").await.status, 200);
}

#[tokio::test]
async fn without_the_group_the_socket_is_for_root_alone_with_a_warning() {
    let directory = TempDir::new().unwrap();
    let bound = Bound::bind(&samples::config(directory.path())).unwrap();
    let mode = fs::metadata(bound.control_path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(bound.warnings()[0].contains("no-such-group-anywhere"), "{:?}", bound.warnings());
}

#[tokio::test]
async fn the_group_may_use_the_socket() {
    let directory = TempDir::new().unwrap();
    let mut config = samples::config(directory.path());
    let own = nix::unistd::Group::from_gid(nix::unistd::getegid()).unwrap().unwrap();
    config.api.control_group = own.name;
    let bound = Bound::bind(&config).unwrap();
    let mode = fs::metadata(bound.control_path()).unwrap().permissions().mode();
    assert_eq!((mode & 0o777, bound.warnings().len()), (0o660, 0));
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_an_answering_one_is_not() {
    let directory = TempDir::new().unwrap();
    let config = samples::config(directory.path());
    fs::create_dir(&config.runtime_dir).unwrap();
    let path = config.runtime_dir.join("weir.sock");
    drop(UnixListener::bind(&path).unwrap());
    let first = Bound::bind(&config).unwrap();
    UnixStream::connect(&path).unwrap();
    assert!(matches!(Bound::bind(&config), Err(BindError::Answered { .. })));
    drop(first);
    assert!(!path.exists());
    fs::write(&path, "").unwrap();
    assert!(matches!(Bound::bind(&config), Err(BindError::InTheWay { .. })));
    assert!(path.exists());
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let directory = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = samples::config(directory.path());
    config.api.listen = taken.local_addr().unwrap();
    let error = Bound::bind(&config).unwrap_err();
    assert!(error.to_string().contains(&config.api.listen.to_string()), "{error}");
}

#[tokio::test]
async fn a_stop_answers_what_was_asked_and_removes_the_file() {
    let server = Server::start();
    let answer: Value = server.local("GET", "/api/status", "").await.json();
    assert_eq!(answer["version"], "1.2.3");
    let path = server.control.clone();
    server.stop().await;
    assert!(!path.exists());
}
