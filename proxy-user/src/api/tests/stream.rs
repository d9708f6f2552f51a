//! Server-sent events.

use axum::http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::{backend::READ, client::DEADLINE, samples, server::Server};
use crate::record::Verdict;

/// A stream that is read event by event.
struct Events {
    body: Incoming,
    unread: String,
}

impl Events {
    async fn open(server: &Server, target: &str, headers: &[(&str, &str)]) -> Self {
        let response: Response<Incoming> = server.open(target, headers).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), unread: String::new() }
    }

    /// The id of the next event, whose data is the record of that id; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.unread.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let found = field("id: ").map(str::to_owned);
                if let Some(id) = &found {
                    let record: serde_json::Value =
                        serde_json::from_str(field("data: ").unwrap()).unwrap();
                    assert_eq!(record["id"], id.as_str());
                }
                self.unread = rest.to_owned();
                if found.is_some() {
                    return found;
                }
                continue;
            }
            let frame = timeout(DEADLINE, self.body.frame()).await.unwrap()?.unwrap();
            self.unread.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn what_is_committed_from_now_on_comes_as_it_comes() {
    let server = Server::start();
    server.memory.commit(samples::record("db", Verdict::Allowed));
    let mut events =
        Events::open(&server, "/api/events/proxy/stream?service_id=db&verdict=allowed", &[]).await;
    server.memory.commit(samples::record("db", Verdict::Denied));
    for _ in 0..2 {
        let id = server.memory.commit(samples::record("db", Verdict::Allowed));
        assert_eq!(events.next().await, Some(id.to_string()));
    }
}

#[tokio::test]
async fn a_client_that_comes_back_misses_nothing() {
    let server = Server::start();
    let ids: Vec<String> = (0..1001)
        .map(|_| server.memory.commit(samples::record("db", Verdict::Allowed)).to_string())
        .collect();
    let headers = [("last-event-id", ids[0].as_str())];
    let mut events = Events::open(&server, "/api/events/proxy/stream", &headers).await;
    for id in &ids[1..] {
        assert_eq!(events.next().await.as_ref(), Some(id));
    }
    let id = server.memory.commit(samples::record("db", Verdict::Allowed));
    assert_eq!(events.next().await, Some(id.to_string()));
}

#[tokio::test]
async fn a_bad_last_event_id_is_named() {
    let server = Server::start();
    let response = server.open("/api/events/proxy/stream", &[("last-event-id", "7")]).await;
    let message = super::client::whole(response).await.error(400);
    assert!(message.contains("Last-Event-ID"), "{message}");
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let server = Server::start();
    let mut events = Events::open(&server, "/api/events/proxy/stream", &[]).await;
    server.memory.revoke(READ);
    server.memory.commit(samples::record("db", Verdict::Allowed));
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_stream_ends_with_the_daemon() {
    let server = Server::start();
    let mut events = Events::open(&server, "/api/events/proxy/stream", &[]).await;
    server.cancel();
    assert_eq!(events.next().await, None);
    server.stop().await;
}
