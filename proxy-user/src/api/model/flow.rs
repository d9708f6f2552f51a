//! `/api/flows`

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Plane {
    /// The host itself; Weir judges and counts.
    Guard,
    /// The relay.
    Relay,
    /// The kernel plane: its packets go on to a target without leaving the kernel.
    Kernel,
}

impl Plane {
    /// As JSON shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Relay => "relay",
            Self::Kernel => "kernel",
        }
    }
}

/// A live flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Flow {
    /// The service's name.
    pub service_id: String,
    /// What carries it.
    pub plane: Plane,
    /// `tcp`, `udp` or `tls`, as its record will have it.
    pub protocol: String,
    /// The client.
    #[schema(value_type = String)]
    pub source_ip: IpAddr,
    /// The client's port.
    pub source_port: u16,
    /// The address of this host that the client addressed.
    #[schema(value_type = String)]
    pub listen_address: IpAddr,
    /// The port that it addressed.
    pub listen_port: u16,
    /// The kernel's name for it, such as `established`; of UDP `unanswered` until the
    /// client gets an answer.
    pub state: String,
    /// Since it began.
    pub age_ms: u64,
    /// Since its last packet.
    pub idle_ms: u64,
    /// Client to target, payload bytes.
    pub bytes_upload: u64,
    /// Target to client, payload bytes.
    pub bytes_download: u64,
    /// Client to service, wire packets.
    pub packets_upload: u64,
    /// Service to client, wire packets.
    pub packets_download: u64,
    /// Where the client is, as an ISO 3166-1 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub country_code: Option<String>,
}
