//! A record's fields.

use std::{collections::BTreeMap, net::IpAddr};

use proxy_common::{country::Country, flow::FlowId, reason::Reason};
use smol_str::SmolStr;
use uuid::Uuid;

use super::HttpPart;

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Now, by the wall clock.
    pub fn now() -> Self {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A stored record: what happened, and its place in the order of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// A `UUIDv7`, strictly increasing.
    pub id: Uuid,
    /// What happened.
    pub draft: Draft,
}

/// A record before the writer gives it its id. Empty strings and `None` are
/// omitted from JSON where SPEC 4 does not make the field always present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The service's name; "" for an unknown host.
    pub service_id: SmolStr,
    /// When logged: the end, or the denial.
    pub timestamp: Timestamp,
    /// When it began.
    pub started_at: Timestamp,
    /// Monotonic difference of the two, milliseconds.
    pub duration_ms: u64,
    /// Protocol of the service.
    pub protocol: Protocol,
    /// How it ended for the client.
    pub verdict: Verdict,
    /// The host that a request asked for, without port; else the service's domain, else
    /// its name.
    pub host: SmolStr,
    /// Port of this host that was addressed.
    pub listen_port: u16,
    /// Client to target, payload bytes; of a request, its body's.
    pub bytes_upload: u64,
    /// Target to client, payload bytes; of a request, the answer's body's.
    pub bytes_download: u64,
    /// Client to service, wire packets; not shown of HTTP.
    pub packets_upload: u64,
    /// Service to client, wire packets; not shown of HTTP.
    pub packets_download: u64,
    /// Who.
    pub source: Source,
    /// From which port; 0 for an aggregate.
    pub source_port: u16,
    /// From where, by the database at the time.
    pub location: Location,
    /// Why it was denied or failed.
    pub reason: Option<Reason>,
    /// Why an observing layer would have denied it.
    pub observed_reason: Option<Reason>,
    /// How a connection ended.
    pub close_reason: Option<CloseReason>,
    /// The target that served it, as dialled.
    pub target: SmolStr,
    /// The version that was agreed on; where Weir only read along, the highest that the
    /// client's handshake asked for.
    pub tls_version: Option<TlsVersion>,
    /// Of a request. A connection for HTTP that ended before one has none.
    pub http: Option<Box<HttpPart>>,
    /// What else is worth knowing; values are strings.
    pub metadata: BTreeMap<String, String>,
}

impl Draft {
    /// The request's method, else the protocol's name.
    pub fn method(&self) -> &str {
        self.http.as_ref().map_or(self.protocol.method(), |http| &http.method)
    }

    /// The request's path, else "".
    pub fn path(&self) -> &str {
        self.http.as_ref().map_or("", |http| &http.path)
    }

    /// The answer's status, else 0.
    pub fn status_code(&self) -> u16 {
        self.http.as_ref().map_or(0, |http| http.status_code)
    }

    /// Host and path of HTTP, host and port of the rest.
    pub fn url(&self) -> String {
        match self.protocol {
            Protocol::Http => format!("{}{}", self.host, self.path()),
            _ => format!("{}:{}", self.host, self.listen_port),
        }
    }
}

/// Who a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// One client, v4-mapped addresses unwrapped.
    Address(IpAddr),
    /// An aggregate over more sources than can be told apart.
    Many,
}

/// Where an address is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// `country.iso_code`.
    pub country: Option<Country>,
    /// English name, or "".
    pub city: SmolStr,
    /// ISO 3166-2 code of the first subdivision without the country, or "".
    pub subdivision: SmolStr,
}

/// `protocol`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A relayed or guarded TCP service.
    Tcp,
    /// A relayed or guarded UDP service.
    Udp,
    /// A TLS passthrough, or a handshake that failed.
    Tls,
    /// A request, or a connection that ended before its first.
    Http,
}

impl Protocol {
    /// Every protocol, in the order of its code in the store.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::Tls, Self::Http];

    /// As records show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Tls => "tls",
            Self::Http => "http",
        }
    }

    /// The record's `method` where there is no request.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Tls => "TLS",
            Self::Http => "",
        }
    }
}

/// `tls_version`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 2246.
    Tls10,
    /// RFC 4346.
    Tls11,
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl TlsVersion {
    /// Every version, in the order of its code in the store.
    pub const ALL: [Self; 4] = [Self::Tls10, Self::Tls11, Self::Tls12, Self::Tls13];

    /// As records show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls10 => "1.0",
            Self::Tls11 => "1.1",
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// `verdict`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Served.
    Allowed,
    /// Refused by policy.
    Denied,
    /// Neither: something failed.
    Error,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 3] = [Self::Allowed, Self::Denied, Self::Error];

    /// What a reason makes of whatever it is the reason of (SPEC 4).
    pub const fn of(reason: Reason) -> Self {
        match reason {
            Reason::IpRestricted
            | Reason::CountryRestricted
            | Reason::GeoUnavailable
            | Reason::SsoDenied
            | Reason::LoginRequired
            | Reason::MissingSsoSession
            | Reason::InvalidPassword
            | Reason::InvalidPin
            | Reason::InvalidHeader
            | Reason::LockedOut => Self::Denied,
            Reason::BadRequest
            | Reason::UnknownHost
            | Reason::ConnectionLimit
            | Reason::BackendUnreachable
            | Reason::BackendTimeout
            | Reason::BackendError
            | Reason::ClientAborted
            | Reason::TlsHandshakeFailed => Self::Error,
        }
    }

    /// As records show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Error => "error",
        }
    }
}

/// `close_reason`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client's FIN came first.
    ClientClosed,
    /// The target's FIN came first.
    TargetClosed,
    /// The client reset.
    ClientReset,
    /// The target reset.
    TargetReset,
    /// No new payload byte for `idle_timeout`.
    IdleTimeout,
    /// A new policy denies it.
    PolicyChanged,
    /// Its service is gone.
    ServiceRemoved,
    /// Weir stopped.
    Shutdown,
    /// Weir crashed, or the connection vanished without a word.
    Interrupted,
}

impl CloseReason {
    /// Every reason, in the order of its code in the store.
    pub const ALL: [Self; 9] = [
        Self::ClientClosed,
        Self::TargetClosed,
        Self::ClientReset,
        Self::TargetReset,
        Self::IdleTimeout,
        Self::PolicyChanged,
        Self::ServiceRemoved,
        Self::Shutdown,
        Self::Interrupted,
    ];

    /// As records show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::TargetClosed => "target_closed",
            Self::ClientReset => "client_reset",
            Self::TargetReset => "target_reset",
            Self::IdleTimeout => "idle_timeout",
            Self::PolicyChanged => "policy_changed",
            Self::ServiceRemoved => "service_removed",
            Self::Shutdown => "shutdown",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A draft on its way to the store, and what its commit settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What to write.
    pub draft: Draft,
    /// Where it came from.
    pub origin: Origin,
}

/// What in the kernel a record stands for. Stored in the record's own
/// transaction, so that a crash neither loses nor repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing of the kernel's.
    Userspace,
    /// This flow's map entry, which may be deleted once the record is committed.
    Flow(FlowId),
    /// Attempts that were denied or refused.
    Denied {
        /// So many of the kernel's counters; of what the relay refused, none.
        accounted: Vec<Accounted>,
        /// Map entries of what the kernel let pass and the relay did not.
        flows: Vec<FlowId>,
    },
}

impl Origin {
    /// Flows whose entries may be deleted once the record is committed.
    pub fn flows(&self) -> &[FlowId] {
        match self {
            Self::Userspace => &[],
            Self::Flow(flow) => std::slice::from_ref(flow),
            Self::Denied { flows, .. } => flows,
        }
    }

    /// Attempts of the kernel's counters that the record accounts for.
    pub fn accounted(&self) -> &[Accounted] {
        match self {
            Self::Userspace | Self::Flow(_) => &[],
            Self::Denied { accounted, .. } => accounted,
        }
    }
}

/// Which kernel counter of denied attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CounterId {
    /// [`proxy_common::tables::Root::epoch`] of the maps.
    pub epoch: u64,
    /// Service slot.
    pub service: u16,
    /// [`Reason`] as a number.
    pub reason: u8,
    /// CPU.
    pub cpu: u32,
}

/// Attempts of one counter that a record accounts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Accounted {
    /// The counter.
    pub counter: CounterId,
    /// How many attempts more than before.
    pub attempts: u64,
}
