//! The JSON shape of SPEC 4.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::draft;
use crate::record::{Draft, Location, Record, Source, Verdict};

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
        target: String::new(),
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
