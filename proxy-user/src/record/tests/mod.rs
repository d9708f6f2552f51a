#![allow(clippy::unwrap_used, reason = "tests")]

mod json;
mod text;

use std::collections::BTreeMap;

use proxy_common::{country::Country, reason::Reason};

use uuid::Uuid;

use super::{
    AuthMethod, CloseReason, Draft, HttpPart, HttpVersion, Location, Protocol, Source, Timestamp,
    TlsVersion, Verdict,
};

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
        http: None,
        metadata: BTreeMap::from([("partial".into(), "true".into())]),
    }
}

/// Of a request by somebody who signed in.
pub(crate) fn request() -> Draft {
    let http = HttpPart {
        request_id: Uuid::from_u128(7),
        method: "GET".into(),
        path: "/index.html".into(),
        status_code: 200,
        auth: AuthMethod::Oidc,
        user_id: "u-17".into(),
        user_email: "ann@example.com".into(),
        http_version: Some(HttpVersion::Http2),
        user_agent: "curl/8.5.0".into(),
    };
    Draft {
        service_id: "wiki".into(),
        protocol: Protocol::Http,
        host: "wiki.example.com".into(),
        listen_port: 443,
        packets_upload: 0,
        packets_download: 0,
        observed_reason: None,
        close_reason: None,
        target: "10.0.0.7:8080".into(),
        http: Some(Box::new(http)),
        metadata: BTreeMap::new(),
        ..draft()
    }
}
