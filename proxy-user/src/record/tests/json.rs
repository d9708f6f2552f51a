//! The JSON shape of SPEC 4.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{draft, request};
use crate::record::{Draft, Location, Protocol, Record, Source, Verdict};

fn json(draft: Draft) -> serde_json::Value {
    serde_json::to_value(Record { id: Uuid::nil(), draft }).unwrap()
}

#[test]
fn a_full_record() {
    let expected = serde_json::json!({
        "id": "00000000-0000-0000-0000-000000000000",
        "service_id": "db",
        "timestamp": "2023-11-14T22:13:21.500Z",
        "started_at": "2023-11-14T22:13:20.000Z",
        "protocol": "tcp", "verdict": "allowed", "method": "TCP",
        "host": "db.example.com", "path": "", "url": "db.example.com:5432",
        "listen_port": 5432, "status_code": 0, "duration_ms": 1500,
        "bytes_upload": 10, "bytes_download": 20,
        "packets_upload": 3, "packets_download": 4,
        "source_ip": "198.51.100.7", "source_port": 40000,
        "country_code": "DE", "city_name": "Berlin", "subdivision_code": "BE",
        "observed_reason": "country_restricted", "close_reason": "client_closed",
        "target": "10.0.0.5:5432", "tls_version": "1.3",
        "metadata": { "partial": "true" },
    });
    assert_eq!(json(draft()), expected);
}

#[test]
fn what_is_empty_is_omitted_and_never_null() {
    let value = json(Draft {
        verdict: Verdict::Denied,
        source: Source::Many,
        source_port: 0,
        location: Location::default(),
        observed_reason: None,
        close_reason: None,
        target: "".into(),
        tls_version: None,
        metadata: BTreeMap::new(),
        ..draft()
    });
    assert_eq!(value["source_ip"], "many");
    for absent in [
        "source_port",
        "country_code",
        "city_name",
        "subdivision_code",
        "reason",
        "observed_reason",
        "close_reason",
        "target",
        "tls_version",
        "metadata",
    ] {
        assert!(value.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn a_request() {
    let expected = serde_json::json!({
        "id": "00000000-0000-0000-0000-000000000000",
        "service_id": "wiki",
        "timestamp": "2023-11-14T22:13:21.500Z",
        "started_at": "2023-11-14T22:13:20.000Z",
        "protocol": "http", "verdict": "allowed", "method": "GET",
        "host": "wiki.example.com", "path": "/index.html",
        "url": "wiki.example.com/index.html",
        "listen_port": 443, "status_code": 200, "duration_ms": 1500,
        "bytes_upload": 10, "bytes_download": 20,
        "source_ip": "198.51.100.7", "source_port": 40000,
        "country_code": "DE", "city_name": "Berlin", "subdivision_code": "BE",
        "target": "10.0.0.7:8080", "tls_version": "1.3",
        "request_id": "00000000-0000-0000-0000-000000000007",
        "auth_method_used": "oidc", "user_id": "u-17", "user_email": "ann@example.com",
        "http_version": "2", "user_agent": "curl/8.5.0",
    });
    assert_eq!(json(request()), expected);
}

#[test]
fn a_connection_that_ended_before_its_first_request_has_nothing_of_one() {
    let value = json(Draft { protocol: Protocol::Http, http: None, ..request() });
    assert_eq!((&value["method"], &value["path"]), (&"".into(), &"".into()));
    assert_eq!((&value["status_code"], &value["url"]), (&0.into(), &"wiki.example.com".into()));
    for absent in ["request_id", "auth_method_used", "http_version", "packets_upload"] {
        assert!(value.get(absent).is_none(), "{absent}");
    }
}
