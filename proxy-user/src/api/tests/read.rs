//! What can be read.

use serde_json::Value;

use super::{samples, server::Server};
use crate::{
    api::model::{AuditEvent, Data, Flow, Listing, ServiceStatus, Status},
    record::Verdict,
};

#[tokio::test]
async fn records_come_in_pages_and_by_cursor() {
    let server = Server::start();
    let ids: Vec<String> = (0..5)
        .map(|_| server.memory.commit(samples::record("db", Verdict::Allowed)).to_string())
        .collect();
    let first: Listing<Value> = server.get("/api/events/proxy?page_size=2").await.json();
    assert_eq!((first.page, first.page_size), (1, 2));
    assert_eq!((first.total_records, first.total_pages), (5, 3));
    assert_eq!(first.data[0]["id"], ids[4].as_str());
    assert_eq!(first.data[0]["url"], "db.example.com:5432");
    assert_eq!(first.next_cursor.as_deref(), Some(ids[3].as_str()));
    let next = format!("/api/events/proxy?page_size=3&cursor={}", ids[3]);
    let last: Listing<Value> = server.get(&next).await.json();
    assert_eq!(last.data.len(), 3);
    assert_eq!(last.next_cursor, None);
}

#[tokio::test]
async fn filters_reach_the_store_and_bad_ones_are_named() {
    let server = Server::start();
    server.memory.commit(samples::record("db", Verdict::Allowed));
    server.memory.commit(samples::record("ssh", Verdict::Denied));
    let found: Listing<Value> = server.get("/api/events/proxy?service_id=SSH").await.json();
    assert_eq!(found.total_records, 1);
    assert_eq!(found.data[0]["verdict"], "denied");
    let summary: Value = server.get("/api/events/proxy/summary?verdict=denied").await.json();
    assert_eq!(summary["records"], 1);
    for route in ["proxy", "proxy/stream", "proxy/export", "proxy/summary", "audit"] {
        let answer = server.get(&format!("/api/events/{route}?colour=red")).await;
        assert!(answer.error(400).contains("colour"), "{route}");
    }
    for route in ["proxy/stream", "proxy/export", "proxy/summary"] {
        let answer = server.get(&format!("/api/events/{route}?page=1")).await;
        assert!(answer.error(400).contains("page"), "{route}");
    }
}

#[tokio::test]
async fn one_record_is_found_by_its_id() {
    let server = Server::start();
    let id = server.memory.commit(samples::record("db", Verdict::Allowed));
    let record: Value = server.get(&format!("/api/events/proxy/{id}")).await.json();
    assert_eq!(record["id"], id.to_string());
    server.get(&format!("/api/events/proxy/{}", uuid::Uuid::now_v7())).await.error(404);
    assert!(server.get("/api/events/proxy/7").await.error(400).contains("id"));
}

#[tokio::test]
async fn a_failing_store_is_said_without_its_innards() {
    let server = Server::start();
    *server.memory.broken.lock() = true;
    assert!(!server.get("/api/events/proxy").await.error(500).contains("disk"));
}

#[tokio::test]
async fn the_audit_log_comes_in_pages() {
    let server = Server::start();
    let page: Listing<AuditEvent> = server.get("/api/events/audit?page_size=2").await.json();
    assert_eq!((page.data.len(), page.total_records, page.total_pages), (2, 3, 2));
    assert_eq!(page.data[0], samples::audit("reload"));
}

#[tokio::test]
async fn the_largest_flows_come_first() {
    let server = Server::start();
    let all: Listing<Flow> = server.get("/api/flows").await.json();
    let ports: Vec<u16> = all.data.iter().map(|flow| flow.source_port).collect();
    assert_eq!(ports, [2, 3, 1]);
    let second: Listing<Flow> =
        server.get("/api/flows?service_id=ssh&page_size=1&page=2").await.json();
    assert_eq!(second.data, [samples::flow("ssh", 1, 10)]);
    assert_eq!((second.total_records, second.total_pages), (2, 2));
    let beyond: Listing<Flow> = server.get(&format!("/api/flows?page={}", u64::MAX)).await.json();
    assert!(beyond.data.is_empty());
}

#[tokio::test]
async fn status_and_services_are_what_the_daemon_says() {
    let server = Server::start();
    let status: Status = server.get("/api/status").await.json();
    assert_eq!(status, samples::status());
    let services: Data<ServiceStatus> = server.get("/api/services").await.json();
    assert_eq!(services.data, samples::status().services);
}

#[tokio::test]
async fn an_address_is_explained() {
    let server = Server::start();
    let answer: Value = server.get("/api/explain?ip=::ffff:192.0.2.1&service=db").await.json();
    assert_eq!(answer, serde_json::json!({ "ip": "192.0.2.1", "service": "db" }));
    for bad in ["ip=", "ip=x", "ip=192.0.2.1&service=unknown", "ip=192.0.2.1&colour=red"] {
        server.get(&format!("/api/explain?{bad}")).await.error(400);
    }
}

#[tokio::test]
async fn metrics_show_the_status() {
    let server = Server::start();
    let answer = server.get("/metrics").await;
    let text = answer.text();
    for line in [
        "weir_build_info{version=\"1.2.3\"} 1",
        "weir_ready 1",
        "weir_start_time_seconds 1767225600",
        "weir_policy_generation 7",
        "weir_interface_info{interface=\"eth0\",hook=\"tc\"} 1",
        "weir_interface_watched{interface=\"eth0\"} 1",
        "weir_interface_watched{interface=\"wg0\"} 0",
        "weir_sink_behind{sink=\"/var/log/weir/access.jsonl\"} 17",
        "weir_sink_failing{sink=\"/var/log/weir/access.jsonl\"} 1",
        "weir_service_connections_open{service=\"ssh\",plane=\"guard\"} 2",
        "weir_service_accepted_total{service=\"ssh\",plane=\"guard\"} 9",
        "weir_service_denied_total{service=\"ssh\",reason=\"ip_restricted\"} 5",
        "weir_service_requests_total{service=\"wiki\",verdict=\"denied\"} 2",
        "weir_target_up{service=\"db\",target=\"10.0.0.5:5432\"} 1",
        "weir_target_up{service=\"db\",target=\"10.0.0.6:5432\"} 0",
        "weir_target_sessions{service=\"db\",target=\"10.0.0.5:5432\"} 1",
        "weir_packets_total{outcome=\"denied\"} 5",
        "weir_map_entries{map=\"flows\"} 2",
        "weir_map_capacity{map=\"flows\"} 1024",
        "weir_certificate_expiry_timestamp_seconds{domain=\"wiki.example.com\"} 1768000000",
        "weir_certificate_problem{domain=\"wiki.example.com\"} 1",
        "weir_geoip_loaded 1",
        "weir_geoip_stale 0",
        "weir_geoip_build_time_seconds 1767000000",
        "weir_writer_queued 1",
        "weir_writer_lag_milliseconds 12",
        "weir_writer_committed_total 99",
        "weir_writer_dropped_total 0",
        "weir_writer_failing 0",
        "weir_losses_total{kind=\"ring_full\"} 3",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}

#[tokio::test]
async fn readiness_is_the_daemons() {
    let server = Server::start();
    assert_eq!(server.get("/healthz/ready").await.status, 200);
    *server.memory.ready.lock() = false;
    server.get("/healthz/ready").await.error(503);
    assert_eq!(server.get("/healthz/live").await.status, 200);
}
