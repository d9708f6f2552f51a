//! The validated configuration. What cannot work cannot be written in these types.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;
use proxy_common::country::CountrySet;

use super::{Http, Nat, Service, Tls};

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where store, tokens and audit log live; created 0700.
    pub data_dir: PathBuf,
    /// Where `weir.sock` lives.
    pub runtime_dir: PathBuf,
    /// `[kernel]`
    pub kernel: Kernel,
    /// `[geoip]`, where it is set or a country rule needs it.
    pub geoip: Option<Geoip>,
    /// `[global_access]`
    pub global: GlobalAccess,
    /// `[log]`
    pub log: Log,
    /// `[api]`
    pub api: Api,
    /// `[[sink]]`
    pub sinks: Vec<Sink>,
    /// `[http]`
    pub http: Http,
    /// `[tls]`
    pub tls: Arc<Tls>,
    /// Enabled services, by name.
    pub services: Vec<Arc<Service>>,
    /// SHA-256 over the main file and its includes, in reading order: the audit
    /// log names a configuration by it.
    pub digest: [u8; 32],
}

/// `[kernel]`
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Interfaces by name, or `None` for every suitable one, followed live.
    pub interfaces: Option<Vec<String>>,
    /// Where verdicts run.
    pub hook: HookChoice,
    /// Root of our pins.
    pub bpffs: PathBuf,
    /// Capacity of the flow map.
    pub max_flows: NonZeroU32,
    /// Whether to refuse to start where eBPF cannot be loaded.
    pub required: bool,
    /// From where the kernel plane reaches targets.
    pub nat: Nat,
}

/// `kernel.hook`: one for all, or by interface name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookChoice {
    /// For interfaces not named in `by_interface`.
    pub default: Hook,
    /// Interface name and hook.
    pub by_interface: Vec<(String, Hook)>,
}

/// Where verdicts run on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// TC ingress.
    Tc,
    /// XDP in the driver.
    XdpNative,
    /// XDP after the driver.
    XdpGeneric,
}

/// `[geoip]`
#[derive(Clone, Debug)]
pub struct Geoip {
    /// The MMDB file.
    pub database: PathBuf,
    /// Where newer ones come from.
    pub update: Option<GeoipUpdate>,
    /// From which age on status warns.
    pub stale_after: Duration,
}

impl Default for Geoip {
    fn default() -> Self {
        Self {
            database: "/var/lib/weir/geo.mmdb".into(),
            update: None,
            stale_after: Duration::from_hours(24 * 45),
        }
    }
}

/// `geoip.update`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeoipUpdate {
    /// The database's URL.
    pub url: String,
    /// URL of its SHA-256, alone or in `sha256sum` form.
    pub sha256_url: Option<String>,
    /// How often.
    pub every: Duration,
}

/// `[global_access]`
#[derive(Clone, Debug)]
pub struct GlobalAccess {
    /// Evaluated before each service's own.
    pub access: Access,
    /// Country rules never apply to these; defaults included unless switched off.
    pub country_exempt: Vec<IpNet>,
    /// Nothing denies these.
    pub never_deny: Vec<IpNet>,
}

/// One layer of restrictions.
#[derive(Clone, Debug)]
pub struct Access {
    /// Enforced, or only observed.
    pub mode: AccessMode,
    /// How the allow lists combine.
    pub matching: Matching,
    /// `None`: not set, as an empty list in the file is.
    pub allowed_cidrs: Option<Vec<IpNet>>,
    /// Block beats allow.
    pub blocked_cidrs: Vec<IpNet>,
    /// `None`: not set.
    pub allowed_countries: Option<CountrySet>,
    /// Empty: not set.
    pub blocked_countries: CountrySet,
}

impl Access {
    /// Restricts nothing.
    pub const OPEN: Self = Self {
        mode: AccessMode::Enforce,
        matching: Matching::All,
        allowed_cidrs: None,
        blocked_cidrs: Vec::new(),
        allowed_countries: None,
        blocked_countries: CountrySet::EMPTY,
    };

    /// Whether a country list is set.
    pub fn asks_country(&self) -> bool {
        self.allowed_countries.is_some() || !self.blocked_countries.is_empty()
    }

    /// Whether any list is set.
    pub fn restricts(&self) -> bool {
        self.asks_country() || self.allowed_cidrs.is_some() || !self.blocked_cidrs.is_empty()
    }
}

/// `access.mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// Denials are carried out.
    Enforce,
    /// Denials are only written into the record.
    Observe,
}

/// `access.match`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// Every allow list must hold the address.
    All,
    /// One is enough.
    Any,
}

/// `access.deny`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Silence.
    Drop,
    /// A TCP RST, or for UDP an ICMP port unreachable; rate-limited.
    Reset,
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    /// How long records stay.
    pub keep: Keep,
    /// Bound of the store's files, bytes.
    pub max_bytes: u64,
    /// Bound of the files of denied records, bytes.
    pub noise_max_bytes: u64,
    /// What a power cut may cost.
    pub commit_interval: Duration,
    /// What happens when records come faster than they can be written.
    pub on_overload: Overload,
    /// What happens when they cannot be written at all.
    pub on_store_failure: StoreFailure,
    /// Single records of denied attempts a second.
    pub deny_records_per_second: u32,
}

/// `log.keep`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Until `max_bytes`.
    Forever,
    /// Nothing is written.
    None,
    /// So long.
    For(Duration),
}

/// `log.on_overload`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Accepting waits.
    Block,
    /// Records are dropped and counted.
    Drop,
}

/// `log.on_store_failure`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFailure {
    /// Traffic goes on, the gap is recorded.
    Proxy,
    /// New connections are refused.
    Refuse,
}

/// `[api]`
#[derive(Clone, Debug)]
pub struct Api {
    /// Where it listens: loopback.
    pub listen: SocketAddr,
    /// The Host it answers to, beside loopback.
    pub domain: Option<String>,
    /// Who may reach it; empty: everyone.
    pub allow: Vec<IpNet>,
    /// Group that may use `weir.sock`, beside root.
    pub control_group: String,
}

/// `[[sink]]`
#[derive(Clone, Debug)]
pub struct Sink {
    /// Where copies go.
    pub kind: SinkKind,
    /// `filter.verdict`; empty: every record.
    pub verdicts: Vec<crate::record::Verdict>,
}

/// `sink.kind`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// JSON lines, appended to a file.
    JsonlFile(PathBuf),
    /// JSON lines on stdout.
    JsonlStdout,
    /// Messages of RFC 5424.
    Syslog(SyslogAddress),
}

/// `sink.address`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    /// `udp://HOST:PORT`, a message a datagram.
    Udp(String),
    /// `tcp://HOST:PORT`
    Tcp(String),
    /// `unix://PATH`
    Unix(PathBuf),
}

impl std::fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Udp(place) => write!(f, "udp://{place}"),
            Self::Tcp(place) => write!(f, "tcp://{place}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}
