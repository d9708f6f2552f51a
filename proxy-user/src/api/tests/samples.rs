//! A configuration, records, a status.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use proxy_common::{country::Country, reason::Reason};
use uuid::Uuid;

use crate::{
    api::model::{
        AuditEvent, CertificateStatus, Flow, GeoipStatus, InterfaceStatus, Loss, MapStatus,
        OrderStatus, Plane, RequestStatus, ServiceStatus, Session, SinkStatus, Status,
        TargetStatus, WriterStatus,
    },
    config::{
        Access, Api, Config, GlobalAccess, Hook, HookChoice, Keep, Kernel, Log, Nat, Overload,
        StoreFailure,
    },
    record::{
        CloseReason, Draft, Location, Protocol, Record, Source, Timestamp, TlsVersion, Verdict,
        tests::request,
    },
};

/// A daemon's configuration below `directory`; TCP at a free port of loopback.
pub(super) fn config(directory: &Path) -> Config {
    Config {
        data_dir: directory.join("data"),
        runtime_dir: directory.join("run"),
        kernel: Kernel {
            interfaces: None,
            hook: HookChoice { default: Hook::Tc, by_interface: Vec::new() },
            bpffs: directory.join("bpf"),
            max_flows: 1024.try_into().unwrap(),
            required: false,
            nat: Nat::default(),
        },
        geoip: None,
        global: GlobalAccess {
            access: Access::OPEN,
            country_exempt: Vec::new(),
            never_deny: Vec::new(),
        },
        log: Log {
            keep: Keep::Forever,
            max_bytes: 1 << 30,
            noise_max_bytes: 1 << 30,
            commit_interval: Duration::from_millis(100),
            on_overload: Overload::Block,
            on_store_failure: StoreFailure::Proxy,
            deny_records_per_second: 1000,
        },
        api: Api {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            domain: Some("weir.example.com".to_owned()),
            allow: Vec::new(),
            control_group: "no-such-group-anywhere".to_owned(),
        },
        http: crate::config::Http::default(),
        tls: crate::config::Tls::default().into(),
        sinks: Vec::new(),
        services: Vec::new(),
        digest: [0; 32],
    }
}

/// A record in which every field is set.
pub(super) fn record(service: &str, verdict: Verdict) -> Record {
    let draft = Draft {
        service_id: service.into(),
        timestamp: Timestamp(1_767_225_600_250),
        started_at: Timestamp(1_767_225_600_000),
        duration_ms: 250,
        protocol: Protocol::Tcp,
        verdict,
        host: "db.example.com".into(),
        listen_port: 5432,
        bytes_upload: 10,
        bytes_download: 20,
        packets_upload: 3,
        packets_download: 4,
        source: Source::Address([192, 0, 2, 7].into()),
        source_port: 40000,
        location: Location {
            country: Country::from_code(b"DE"),
            city: "Halle, Saale".into(),
            subdivision: "ST".into(),
        },
        reason: Some(Reason::BackendUnreachable),
        observed_reason: Some(Reason::IpRestricted),
        close_reason: Some(CloseReason::ClientClosed),
        target: "10.0.0.5:5432".into(),
        tls_version: Some(TlsVersion::Tls12),
        http: request().http,
        metadata: BTreeMap::from([("hook".to_owned(), "relay".to_owned())]),
    };
    Record { id: Uuid::now_v7(), draft }
}

/// A flow with so many bytes.
pub(super) fn flow(service: &str, source_port: u16, bytes: u64) -> Flow {
    Flow {
        service_id: service.to_owned(),
        plane: Plane::Guard,
        protocol: "tcp".to_owned(),
        source_ip: [192, 0, 2, 7].into(),
        source_port,
        listen_address: [192, 0, 2, 1].into(),
        listen_port: 22,
        state: "established".to_owned(),
        age_ms: 1000,
        idle_ms: 10,
        bytes_upload: bytes,
        bytes_download: 0,
        packets_upload: 1,
        packets_download: 1,
        country_code: None,
    }
}

/// An event of the audit log.
pub(super) fn audit(event: &str) -> AuditEvent {
    AuditEvent {
        timestamp: Timestamp(1_767_225_600_000),
        event: event.to_owned(),
        who: "uid 0 (pid 1)".to_owned(),
        details: BTreeMap::new(),
    }
}

fn interface(name: &str, index: u32, hook: &str) -> InterfaceStatus {
    InterfaceStatus { name: name.to_owned(), index, hook: hook.to_owned(), why: "so".to_owned() }
}

fn target(target: &str, sessions: u64, error: Option<&str>) -> TargetStatus {
    TargetStatus {
        target: target.to_owned(),
        up: error.is_none(),
        since: Timestamp(1_767_225_600_000),
        sessions,
        error: error.map(str::to_owned),
    }
}

/// A daemon with one of everything.
pub(super) fn status() -> Status {
    Status {
        version: "1.2.3".to_owned(),
        started_at: Timestamp(1_767_225_600_000),
        generation: 7,
        config_digest: "00".repeat(32),
        interfaces: vec![interface("eth0", 2, "tc"), interface("wg0", 0, "none")],
        services: vec![
            ServiceStatus {
                name: "ssh".to_owned(),
                plane: Plane::Guard,
                plane_reason: None,
                listen: vec![":22".to_owned()],
                targets: Vec::new(),
                open: 2,
                accepted: 9,
                denied: BTreeMap::from([("ip_restricted".to_owned(), 5)]),
                access: "DE, 203.0.113.7/32".to_owned(),
            },
            ServiceStatus {
                name: "db".to_owned(),
                plane: Plane::Relay,
                plane_reason: Some("there is no route to 10.0.0.5".to_owned()),
                listen: vec![":5432".to_owned()],
                targets: vec![
                    target("10.0.0.5:5432", 1, None),
                    target("10.0.0.6:5432", 0, Some("Connection refused")),
                ],
                open: 1,
                accepted: 4,
                denied: BTreeMap::new(),
                access: "open".to_owned(),
            },
        ],
        maps: vec![MapStatus { name: "flows".to_owned(), entries: 2, capacity: 1024 }],
        geoip: Some(GeoipStatus {
            path: "/var/lib/weir/geo.mmdb".to_owned(),
            built_at: Some(Timestamp(1_767_000_000_000)),
            loaded: true,
            stale: false,
            error: None,
        }),
        certificates: vec![CertificateStatus {
            domain: "wiki.example.com".to_owned(),
            source: "acme".to_owned(),
            names: vec!["wiki.example.com".to_owned()],
            not_after: Some(Timestamp(1_768_000_000_000)),
            problem: Some("the last order failed: no".to_owned()),
            acme: Some(OrderStatus {
                ordering: false,
                last_error: Some("no".to_owned()),
                next_try: Some(Timestamp(1_767_500_000_000)),
            }),
        }],
        writer: WriterStatus { queued: 1, lag_ms: 12, committed: 99, dropped: 0, failing: false },
        sinks: vec![SinkStatus {
            path: "/var/log/weir/access.jsonl".to_owned(),
            behind: Some(17),
            failing_since: Some(Timestamp(1_767_225_600_000)),
            error: Some("no space".to_owned()),
        }],
        losses: vec![Loss {
            name: "ring_full".to_owned(),
            count: 3,
            meaning: "events found by the counters".to_owned(),
        }],
        outcomes: BTreeMap::from([("denied".to_owned(), 5)]),
        requests: BTreeMap::from([(
            "wiki".to_owned(),
            RequestStatus { allowed: 7, denied: 2, error: 1 },
        )]),
        warnings: vec!["one warning".to_owned()],
    }
}

pub(super) fn session() -> Session {
    Session {
        id: "0011223344556677".to_owned(),
        service_id: "wiki".to_owned(),
        host: "wiki.example.com".to_owned(),
        auth_method: "oidc".to_owned(),
        user_id: Some("7".to_owned()),
        user_email: Some("ann@example.com".to_owned()),
        source_ip: [192, 0, 2, 1].into(),
        opened_at: Timestamp(1_767_225_600_000),
        expires_at: Timestamp(1_767_312_000_000),
    }
}
