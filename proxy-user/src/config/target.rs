//! Where a service's connections end: types, and how they are read.

use std::{fmt, net::SocketAddr, time::Duration};

use super::{
    Mode, Web,
    fault::At,
    fields::Fields,
    listen::is_host_name,
    schema::SERVICE_HEALTH,
    tree::{Node, Value},
    web::scheme,
};

/// Where a service's connections end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// In a process of this host: verdict, bytes and records come from the kernel.
    Host,
    /// In the relay, which goes on to one of these.
    Targets(Targets),
    /// In Weir, which reads the requests and has them answered.
    Web(Box<Web>),
}

/// What a relayed service has behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// At least one, each once.
    pub list: Vec<Target>,
    /// Which of them a client gets.
    pub balance: Balance,
    /// How they are looked at; `None`: what becomes of clients tells enough.
    pub health: Option<Health>,
}

/// One target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// An address.
    Address(SocketAddr),
    /// A name, which is resolved again and again.
    Name {
        /// Host name, in lower case.
        host: String,
        /// Port.
        port: u16,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// `balance`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn.
    RoundRobin,
    /// The one with the fewest sessions.
    LeastConn,
    /// The same for the same client address.
    SourceHash,
}

/// `health`: looking at targets without being asked by a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Between two looks.
    pub interval: Duration,
    /// For one look; no longer than `interval`.
    pub timeout: Duration,
}

impl Default for Health {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), timeout: Duration::from_secs(2) }
    }
}

/// `health`, as it is written.
pub(super) struct Probe {
    pub(super) health: Health,
    /// What an `http` service's targets are asked for.
    pub(super) path: Option<(String, At)>,
}

const FORMS: &str = "\"host\", \"ADDRESS:PORT\" or \"NAME:PORT\"";

/// `target` or `targets`, with what is said about them; and where each stands.
pub(super) fn destination(
    fields: &mut Fields<'_, '_>,
    mode: Mode,
) -> Option<(Destination, Vec<At>)> {
    let balance = balance(fields);
    let health = stream_health(fields);
    let entries = entries(fields, FORMS)?;
    if let [("host", at)] = entries.as_slice() {
        return Some((Destination::Host, vec![*at]));
    }
    let (list, places) = each_once(fields, &entries, parse)?;
    let health = match (mode, health) {
        (Mode::Udp, None) => None,
        (Mode::Udp, Some(_)) => {
            let message = "health has no effect where mode = \"udp\": nothing answers to a probe";
            fields.report.warn(fields.place("health"), message);
            None
        }
        (Mode::Http | Mode::Tcp | Mode::Tls, None) => (list.len() > 1).then(Health::default),
        (Mode::Http | Mode::Tcp | Mode::Tls, health) => health,
    };
    let balance = balance.unwrap_or(Balance::RoundRobin);
    Some((Destination::Targets(Targets { list, balance, health }), places))
}

pub(super) fn balance(fields: &mut Fields<'_, '_>) -> Option<Balance> {
    fields.choice(
        "balance",
        &[
            ("round_robin", Balance::RoundRobin),
            ("least_conn", Balance::LeastConn),
            ("source_hash", Balance::SourceHash),
        ],
    )
}

/// The targets as they are written, one at least; `forms` are what one looks like.
pub(super) fn entries<'a>(fields: &mut Fields<'a, '_>, forms: &str) -> Option<Vec<(&'a str, At)>> {
    let several = fields.strings("targets");
    match (fields.string("target"), several.is_empty()) {
        (Some(_), false) => {
            fields.fault("targets", "target and targets are two forms of one thing");
            None
        }
        (Some(target), true) => Some(vec![target]),
        (None, false) => Some(several),
        (None, true) => {
            missing(fields, forms);
            None
        }
    }
}

/// Tells that there is no target, unless it was told that there is a bad one.
fn missing(fields: &mut Fields<'_, '_>, forms: &str) {
    match fields.node("targets").map(|node| &node.value) {
        None if fields.node("target").is_none() => {
            let message = format!("[{}] has no target: {forms}", fields.name);
            fields.report.fault(fields.at, message);
        }
        Some(Value::Array(items)) if items.is_empty() => {
            fields.fault("targets", format!("targets is empty: {forms}"));
        }
        _ => {}
    }
}

/// Each target once, and where it stands; or a fault for each that `parse` takes for none.
pub(super) fn each_once<T: PartialEq>(
    fields: &mut Fields<'_, '_>,
    entries: &[(&str, At)],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<(Vec<T>, Vec<At>)> {
    let (mut list, mut places) = (Vec::new(), Vec::new());
    for (text, at) in entries {
        match parse(text) {
            Ok(target) if list.contains(&target) => {
                fields.report.fault(*at, format!("target {text:?} is there twice"));
            }
            Ok(target) => {
                list.push(target);
                places.push(*at);
            }
            Err(why) => fields.report.fault(*at, why),
        }
    }
    (list.len() == entries.len()).then_some((list, places))
}

fn parse(text: &str) -> Result<Target, String> {
    if text == "host" {
        return Err("\"host\" stands alone: the host's own process, or targets".to_owned());
    }
    if is_http(text) {
        return Err(format!("target {text:?} is for http services: mode = \"http\""));
    }
    let bad = || format!("target {text:?} is not {FORMS}");
    if let Ok(address) = text.parse::<SocketAddr>() {
        let unusable = address.port() == 0 || address.ip().is_unspecified();
        return if unusable { Err(bad()) } else { Ok(Target::Address(address)) };
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(bad)?;
    let numeric = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    if numeric || !is_host_name(host) {
        return Err(bad());
    }
    Ok(Target::Name { host: host.to_ascii_lowercase(), port })
}

/// `health`; one key alone leaves the other at its default, or as near as it goes.
pub(super) fn health(fields: &mut Fields<'_, '_>) -> Option<Probe> {
    let (table, at) = fields.table("health")?;
    let shown = format!("{}.health", fields.name);
    let mut inner = Fields::new(table, at, (&SERVICE_HEALTH, &shown), fields.report);
    let interval = inner.duration("interval");
    let timeout = inner.duration("timeout");
    let default = Health::default();
    let interval = interval.unwrap_or_else(|| default.interval.max(timeout.unwrap_or_default()));
    let timeout = timeout.unwrap_or_else(|| default.timeout.min(interval));
    if timeout > interval {
        inner.fault("timeout", "health.timeout is longer than health.interval");
    }
    let path = inner.string("path").map(|(path, at)| (path.to_owned(), at));
    Some(Probe { health: Health { interval, timeout }, path })
}

/// `health` of services that are not over HTTP.
fn stream_health(fields: &mut Fields<'_, '_>) -> Option<Health> {
    let probe = health(fields)?;
    if let Some((_, at)) = probe.path {
        fields.report.fault(at, "health.path is for http services");
    }
    Some(probe.health)
}

/// Whether targets or routes say that the service is one over HTTP.
pub(super) fn is_over_http(fields: &Fields<'_, '_>) -> bool {
    let is_http = |node: &Node| matches!(&node.value, Value::String(text) if is_http(text));
    let target = fields.node("target").is_some_and(is_http);
    let targets = fields.node("targets").map(|node| &node.value);
    let targets = matches!(targets, Some(Value::Array(items)) if items.iter().any(is_http));
    target || targets || fields.node("route").is_some()
}

fn is_http(target: &str) -> bool {
    scheme(target).is_some()
}
