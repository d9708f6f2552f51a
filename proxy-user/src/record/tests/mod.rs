#![allow(clippy::unwrap_used, reason = "tests")]

mod json;

use std::collections::BTreeMap;

use proxy_common::{country::Country, reason::Reason};

use super::{CloseReason, Draft, Location, Protocol, Source, Timestamp, TlsVersion, Verdict};

pub(crate) fn draft() -> Draft {
    Draft {
        service_id: "db".into(),
        timestamp: Timestamp(1_700_000_001_500),
        started_at: Timestamp(1_700_000_000_000),
        duration_ms: 1500,
        protocol: Protocol::Tcp,
        verdict: Verdict::Allowed,
        host: "db.example.com".into(),
        listen_port: 5432,
        bytes_upload: 10,
        bytes_download: 20,
        packets_upload: 3,
        packets_download: 4,
        source: Source::Address([198, 51, 100, 7].into()),
        source_port: 40_000,
        location: Location {
            country: Country::from_code(b"DE"),
            city: "Berlin".into(),
            subdivision: "BE".into(),
        },
        reason: None,
        observed_reason: Some(Reason::CountryRestricted),
        close_reason: Some(CloseReason::ClientClosed),
        target: "10.0.0.5:5432".into(),
        tls_version: Some(TlsVersion::Tls13),
        metadata: BTreeMap::from([("partial".into(), "true".into())]),
    }
}
