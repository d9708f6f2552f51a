//! `/api/status` and `/api/services`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CertificateStatus, Plane, rfc3339};
use crate::record::Timestamp;

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Of the daemon.
    pub version: String,
    /// When it started.
    #[serde(with = "rfc3339")]
    pub started_at: Timestamp,
    /// The policy in force in the kernel; 0 where none is.
    pub generation: u64,
    /// SHA-256 of the configuration in force, hexadecimal.
    pub config_digest: String,
    /// Where verdicts run, and where they should and do not.
    pub interfaces: Vec<InterfaceStatus>,
    /// By name.
    pub services: Vec<ServiceStatus>,
    /// Fill of the kernel's maps.
    pub maps: Vec<MapStatus>,
    /// The country database, where one is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub geoip: Option<GeoipStatus>,
    /// Of each domain that is served over TLS, by name.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
    /// The log writer.
    pub writer: WriterStatus,
    /// Where copies of the records go.
    pub sinks: Vec<SinkStatus>,
    /// Every count that could hide a loss, also those that are 0.
    pub losses: Vec<Loss>,
    /// What became of the packets, by the kernel's name for it.
    pub outcomes: BTreeMap<String, u64>,
    /// Requests of HTTP since the daemon started, by service; of an unknown host, by "".
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, RequestStatus>,
    /// What the operator should know, one sentence each.
    pub warnings: Vec<String>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Interface)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Its index; 0 while it is absent.
    pub index: u32,
    /// The hook in use: `tc`, `xdp-native`, `xdp-generic`, or `none`.
    pub hook: String,
    /// Why that hook.
    pub why: String,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Service)]
pub struct ServiceStatus {
    /// Its name, the records' `service_id`.
    pub name: String,
    /// What carries its new connections.
    pub plane: Plane,
    /// Why the relay does, where the kernel plane was to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plane_reason: Option<String>,
    /// As configured.
    pub listen: Vec<String>,
    /// What the relay has behind it, in the configuration's order; none behind a guard.
    pub targets: Vec<TargetStatus>,
    /// Connections open now.
    pub open: u64,
    /// Connections accepted since the daemon started.
    pub accepted: u64,
    /// Denied attempts by reason: in the kernel since the maps were made, in the relay
    /// since the service was published.
    pub denied: BTreeMap<String, u64>,
    /// Its restrictions in words.
    pub access: String,
}

/// Requests of a service by verdict; also those that share a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RequestCounts)]
pub struct RequestStatus {
    /// Served.
    pub allowed: u64,
    /// Refused by policy.
    pub denied: u64,
    /// Failed.
    pub error: u64,
}

/// A target of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Target)]
pub struct TargetStatus {
    /// As configured.
    pub target: String,
    /// Whether it works, as far as is known.
    pub up: bool,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub since: Timestamp,
    /// Connections that it has now.
    pub sessions: u64,
    /// Why it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
}

/// A map of the kernel's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Map)]
pub struct MapStatus {
    /// Its name.
    pub name: String,
    /// Entries in it.
    pub entries: u64,
    /// Entries that it can hold.
    pub capacity: u64,
}

/// The country database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Geoip)]
pub struct GeoipStatus {
    /// Its file.
    pub path: String,
    /// When it was built, where one is loaded.
    #[serde(with = "rfc3339::option", default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub built_at: Option<Timestamp>,
    /// Whether one is in use.
    pub loaded: bool,
    /// Whether it is older than `stale_after_days`.
    pub stale: bool,
    /// Why the file as it is now could not be loaded, or no newer one be fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
}

/// The log writer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Writer)]
pub struct WriterStatus {
    /// Records that wait to be committed.
    pub queued: u64,
    /// Age of the oldest of them, milliseconds.
    pub lag_ms: u64,
    /// Records committed since the daemon started.
    pub committed: u64,
    /// Records dropped since the daemon started.
    pub dropped: u64,
    /// Whether the last commit failed.
    pub failing: bool,
}

/// A sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Sink)]
pub struct SinkStatus {
    /// Its file, or its address; `-`: stdout.
    pub path: String,
    /// Committed records that it has still to look at; counted up to 100,000. Nobody
    /// knows while the store cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub behind: Option<u64>,
    /// Since when it cannot be written, while it cannot.
    #[serde(with = "rfc3339::option", default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub failing_since: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
}

/// A count that could hide a loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Loss {
    /// `[a-z_]+`
    pub name: String,
    /// How often.
    pub count: u64,
    /// What it means when it is not 0.
    pub meaning: String,
}
