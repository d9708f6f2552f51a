//! Which keys there are, and which come with later versions.

/// The keys of one table.
pub(super) struct Schema {
    /// As messages name it; `NAME` stands for a name of the user's.
    pub(super) name: &'static str,
    pub(super) known: &'static [&'static str],
    /// Of the product, but not of this version.
    pub(super) later: &'static [&'static str],
}

const ACCESS_KEYS: [&str; 6] =
    ["mode", "match", "allowed_cidrs", "blocked_cidrs", "allowed_countries", "blocked_countries"];

pub(super) static ROOT: Schema = Schema {
    name: "",
    known: &[
        "include",
        "data_dir",
        "runtime_dir",
        "kernel",
        "geoip",
        "global_access",
        "log",
        "api",
        "sink",
        "http",
        "tls",
        "sso",
        "service",
    ],
    later: &[],
};
pub(super) static KERNEL: Schema = Schema {
    name: "kernel",
    known: &["interfaces", "hook", "bpffs", "max_flows", "required", "nat_ports", "nat_addresses"],
    later: &[],
};
pub(super) static GEOIP: Schema =
    Schema { name: "geoip", known: &["database", "update", "stale_after_days"], later: &[] };
pub(super) static GEOIP_UPDATE: Schema =
    Schema { name: "geoip.update", known: &["url", "every", "sha256_url"], later: &[] };
pub(super) static GLOBAL_ACCESS: Schema = Schema {
    name: "global_access",
    known: &[
        ACCESS_KEYS[0],
        ACCESS_KEYS[1],
        ACCESS_KEYS[2],
        ACCESS_KEYS[3],
        ACCESS_KEYS[4],
        ACCESS_KEYS[5],
        "deny",
        "country_exempt_cidrs",
        "country_exempt_defaults",
        "never_deny_cidrs",
    ],
    later: &[],
};
pub(super) static LOG: Schema = Schema {
    name: "log",
    known: &[
        "keep",
        "max_bytes",
        "noise_max_bytes",
        "commit_interval_ms",
        "on_overload",
        "on_store_failure",
        "deny_records_per_second",
    ],
    later: &[],
};
pub(super) static API: Schema = Schema {
    name: "api",
    known: &["listen", "tls", "domain", "allow", "control_group"],
    later: &[],
};
pub(super) static SINK: Schema =
    Schema { name: "sink", known: &["kind", "path", "address", "filter"], later: &[] };
pub(super) static SINK_FILTER: Schema =
    Schema { name: "sink.filter", known: &["verdict"], later: &[] };
pub(super) static SERVICE: Schema = Schema {
    name: "service.NAME",
    known: &[
        "mode",
        "domain",
        "listen",
        "target",
        "targets",
        "balance",
        "health",
        "enabled",
        "connect_timeout",
        "idle_timeout",
        "max_connections",
        "proxy_protocol",
        "forward",
        "source",
        "allow",
        "block",
        "access",
        OF_HTTP[0],
        OF_HTTP[1],
        OF_HTTP[2],
        OF_HTTP[3],
        OF_HTTP[4],
        OF_HTTP[5],
        OF_HTTP[6],
        OF_HTTP[7],
        OF_HTTP[8],
    ],
    later: &[],
};
/// Keys that only a service over HTTP has.
pub(super) const OF_HTTP: [&str; 9] = [
    "tls",
    "redirect_http",
    "pass_host_header",
    "rewrite_redirects",
    "route",
    "auth",
    "password",
    "pin",
    "sso",
];
pub(super) static SERVICE_ACCESS: Schema = Schema {
    name: "service.NAME.access",
    known: &[
        ACCESS_KEYS[0],
        ACCESS_KEYS[1],
        ACCESS_KEYS[2],
        ACCESS_KEYS[3],
        ACCESS_KEYS[4],
        ACCESS_KEYS[5],
        "deny",
    ],
    later: &[],
};
pub(super) static SERVICE_HEALTH: Schema =
    Schema { name: "service.NAME.health", known: &["interval", "timeout", "path"], later: &[] };
pub(super) static SERVICE_PROXY_PROTOCOL: Schema =
    Schema { name: "service.NAME.proxy_protocol", known: &["accept_from", "send"], later: &[] };
pub(super) static SERVICE_ROUTE: Schema = Schema {
    name: "service.NAME.route",
    known: &[
        "path",
        "target",
        "targets",
        "strip_prefix",
        "public",
        "request_headers",
        "timeout",
        "skip_tls_verify",
    ],
    later: &[],
};
pub(super) static SERVICE_AUTH: Schema = Schema {
    name: "service.NAME.auth",
    known: &["session_lifetime", "password", "pin", "headers", "sso", "lockout"],
    later: &[],
};
/// Of `password` and `pin`.
pub(super) static SERVICE_AUTH_HASH: Schema =
    Schema { name: "service.NAME.auth.password", known: &["hash"], later: &[] };
pub(super) static SERVICE_AUTH_HEADER: Schema =
    Schema { name: "service.NAME.auth.headers", known: &["name", "hash"], later: &[] };
pub(super) static SERVICE_AUTH_SSO: Schema = Schema {
    name: "service.NAME.auth.sso",
    known: &["provider", "allowed_groups", "allowed_emails", "allowed_domains", "allow_any_user"],
    later: &[],
};
pub(super) static SERVICE_AUTH_LOCKOUT: Schema = Schema {
    name: "service.NAME.auth.lockout",
    known: &["attempts", "window", "duration"],
    later: &[],
};
pub(super) static HTTP: Schema = Schema { name: "http", known: &["trusted_proxies"], later: &[] };
pub(super) static TLS: Schema =
    Schema { name: "tls", known: &["cert_dir", "self_signed", "acme"], later: &[] };
pub(super) static TLS_ACME: Schema = Schema {
    name: "tls.acme",
    known: &["directory", "email", "challenge", "ca_file", "eab"],
    later: &[],
};
pub(super) static TLS_ACME_EAB: Schema =
    Schema { name: "tls.acme.eab", known: &["kid", "hmac_file"], later: &[] };
pub(super) static SSO_PROVIDER: Schema = Schema {
    name: "sso.NAME",
    known: &[
        "issuer",
        "client_id",
        "client_secret_file",
        "scopes",
        "groups_claim",
        "callback",
        "recheck",
        "ca_file",
    ],
    later: &[],
};

static ALL: [&Schema; 24] = [
    &SERVICE,
    &SERVICE_ACCESS,
    &SERVICE_HEALTH,
    &SERVICE_PROXY_PROTOCOL,
    &SERVICE_ROUTE,
    &SERVICE_AUTH,
    &SERVICE_AUTH_HASH,
    &SERVICE_AUTH_HEADER,
    &SERVICE_AUTH_SSO,
    &SERVICE_AUTH_LOCKOUT,
    &ROOT,
    &KERNEL,
    &GEOIP,
    &GEOIP_UPDATE,
    &GLOBAL_ACCESS,
    &LOG,
    &API,
    &SINK,
    &SINK_FILTER,
    &HTTP,
    &TLS,
    &TLS_ACME,
    &TLS_ACME_EAB,
    &SSO_PROVIDER,
];

/// How near a misspelt key must be.
const NEAR: f64 = 0.8;

impl Schema {
    /// What is wrong with `key` in this table; `shown` is the table's name with the
    /// user's own parts.
    pub(super) fn objection(&self, key: &str, shown: &str) -> String {
        let table = bracketed(shown);
        if self.later.contains(&key) {
            return format!("{key:?} in {table} is not supported yet");
        }
        let unknown = format!("unknown key {key:?} in {table}");
        let holder = |key: &str| ALL.iter().find(|other| other.known.contains(&key));
        if let Some(other) = holder(key) {
            return format!("{unknown}; {} has such a key", bracketed(other.name));
        }
        if let Some(near) = nearest(self.known.iter().copied(), key) {
            return format!("{unknown}; did you mean {near:?}?");
        }
        let near = nearest(ALL.iter().flat_map(|other| other.known).copied(), key);
        match near.and_then(|near| Some((near, holder(near)?))) {
            Some((near, other)) => {
                format!("{unknown}; {} has a key {near:?}", bracketed(other.name))
            }
            None => format!("{unknown}, and no other table has one like it"),
        }
    }
}

fn bracketed(table: &str) -> String {
    if table.is_empty() { "the top level".to_owned() } else { format!("[{table}]") }
}

/// The most similar of `candidates`, where one is similar enough.
pub(super) fn nearest<'a>(
    candidates: impl Iterator<Item = &'a str>,
    word: &str,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(candidate, word), candidate))
        .filter(|(similarity, _)| *similarity >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
