//! `[service.NAME]`

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use super::{
    Access, Denial, Destination, Listen, ListenAddress, Mode, ProxyProtocol, SendProxy, Service,
    access::{denial, layer, short_form},
    fault::{At, Report},
    fields::Fields,
    forward::{forwarding, refuse_what_the_kernel_cannot},
    listen::{is_host_name, listen},
    prefix::prefix,
    published::{HTTP, HTTPS},
    schema::{SERVICE, SERVICE_ACCESS, SERVICE_PROXY_PROTOCOL},
    target::{destination, is_over_http},
    tree::{Entry, Table, Value},
    unfit::{refuse_keys_of_http, refuse_what_no_mode_has, warn_of_ignored},
    web::{Shared, is_over_tls, web},
};

/// A service and where its parts stand.
pub(super) struct Placed {
    pub(super) service: Arc<Service>,
    pub(super) at: At,
    pub(super) listen: Vec<(Listen, At)>,
    /// Of each target, in their order; a guard's "host".
    pub(super) targets: Vec<At>,
    /// What says that plain HTTP is redirected.
    pub(super) redirect: At,
    pub(super) domain: At,
    /// Of hashes of secrets.
    pub(super) hashes: Vec<At>,
}

const MOST_CONNECTIONS: u32 = 1_000_000;

/// Every enabled service.
pub(super) fn services(
    table: &Table,
    default_denial: Option<Denial>,
    shared: &Shared<'_>,
    report: &mut Report,
) -> Vec<Placed> {
    let mut services = Vec::new();
    for entry in &table.entries {
        let Value::Table(inner) = &entry.node.value else {
            report.fault(entry.node.at, format!("service.{} takes a table", entry.key));
            continue;
        };
        if !is_service_name(&entry.key) {
            let rule = "a service's name is 1 to 63 of a-z, 0-9 and -, and begins with no -";
            report.fault(entry.at, format!("{:?}: {rule}", entry.key));
        }
        let shown = format!("service.{}", entry.key);
        let mut fields = Fields::new(inner, entry.at, (&SERVICE, &shown), report);
        services.extend(service(&mut fields, &entry.key, default_denial, shared));
    }
    services
}

fn is_service_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.starts_with('-')
}

fn service(
    fields: &mut Fields<'_, '_>,
    name: &str,
    default_denial: Option<Denial>,
    shared: &Shared<'_>,
) -> Option<Placed> {
    let mode = mode(fields);
    let tls = mode == Mode::Http && is_over_tls(fields);
    let listening = listening(fields, mode, tls);
    let listen: Vec<Listen> = listening.iter().map(|(listen, _)| *listen).collect();
    let end = end(fields, (mode, tls), &listen, shared);
    let (access, deny) = access(fields, mode);
    let connect = fields.duration("connect_timeout");
    let idle = fields.duration("idle_timeout");
    let most = fields.integer("max_connections", 1..=MOST_CONNECTIONS);
    let domain = domain(fields, mode);
    let proxy_protocol = proxy_protocol(fields);
    let forwarding = forwarding(fields);
    let enabled = fields.boolean("enabled").unwrap_or(true);
    refuse_keys_of_http(fields, mode);
    let end = end?;
    let service = Service {
        name: name.to_owned(),
        mode,
        domain,
        listen,
        destination: end.destination,
        access,
        deny: deny.or(default_denial).filter(|_| mode != Mode::Http).unwrap_or(Denial::Drop),
        connect_timeout: connect.unwrap_or(Duration::from_secs(5)),
        idle_timeout: idle.unwrap_or_else(|| default_idle_timeout(mode)),
        max_connections: most.and_then(NonZeroU32::new).unwrap_or(DEFAULT_CONNECTIONS),
        proxy_protocol,
        forwarding,
    };
    refuse_what_the_kernel_cannot(fields, &service);
    refuse_what_no_mode_has(fields, &service, &end.targets);
    warn_of_ignored(fields, &service);
    enabled.then(|| Placed {
        service: Arc::new(service),
        at: fields.at,
        listen: listening,
        targets: end.targets,
        redirect: fields.place("redirect_http"),
        domain: fields.place("domain"),
        hashes: end.hashes,
    })
}

/// Where connections end, and where that stands.
struct End {
    destination: Destination,
    targets: Vec<At>,
    hashes: Vec<At>,
}

fn end(
    fields: &mut Fields<'_, '_>,
    (mode, tls): (Mode, bool),
    listen: &[Listen],
    shared: &Shared<'_>,
) -> Option<End> {
    if mode == Mode::Http {
        let placed = web(fields, (tls, listen), shared);
        let destination = Destination::Web(Box::new(placed.web));
        return Some(End { destination, targets: placed.targets, hashes: placed.hashes });
    }
    let (destination, targets) = destination(fields, mode)?;
    Some(End { destination, targets, hashes: Vec::new() })
}

/// `listen`, which a service over HTTP need not have.
fn listening(fields: &mut Fields<'_, '_>, mode: Mode, tls: bool) -> Vec<(Listen, At)> {
    if fields.node("listen").is_some() {
        return listen(fields);
    }
    if mode == Mode::Http {
        let port = if tls { HTTPS } else { HTTP };
        return vec![(Listen { address: ListenAddress::Any, port }, fields.at)];
    }
    fields.report.fault(fields.at, format!("[{}] has no listen: a port, say", fields.name));
    Vec::new()
}

const DEFAULT_CONNECTIONS: NonZeroU32 = NonZeroU32::new(10_000).expect("not zero");

fn default_idle_timeout(mode: Mode) -> Duration {
    match mode {
        Mode::Http | Mode::Tcp | Mode::Tls => Duration::from_hours(1),
        Mode::Udp => Duration::from_secs(30),
    }
}

/// `mode`; where it is faulty, what comes nearest.
fn mode(fields: &mut Fields<'_, '_>) -> Mode {
    let over_http = is_over_http(fields);
    let modes = [("http", Mode::Http), ("tcp", Mode::Tcp), ("udp", Mode::Udp), ("tls", Mode::Tls)];
    if let Some(mode) = fields.choice("mode", &modes) {
        return mode;
    }
    if over_http {
        return Mode::Http;
    }
    if fields.node("mode").is_none() {
        let message = format!("[{}] has no mode: write mode = \"tcp\"", fields.name);
        fields.report.fault(fields.at, message);
    }
    Mode::Tcp
}

fn domain(fields: &mut Fields<'_, '_>, mode: Mode) -> Option<String> {
    let by_name = matches!(mode, Mode::Http | Mode::Tls);
    let Some((domain, at)) = fields.string("domain") else {
        if by_name && fields.node("domain").is_none() {
            let message =
                format!("[{}] has no domain: the name that its clients ask for", fields.name);
            fields.report.fault(fields.at, message);
        }
        return None;
    };
    let name = if by_name { domain.strip_prefix("*.") } else { None };
    if !is_host_name(name.unwrap_or(domain)) {
        fields.report.fault(at, format!("domain {domain:?} is no host name"));
    }
    Some(domain.to_ascii_lowercase())
}

fn proxy_protocol(fields: &mut Fields<'_, '_>) -> ProxyProtocol {
    let Some((table, at)) = fields.table("proxy_protocol") else { return ProxyProtocol::default() };
    let shown = format!("{}.proxy_protocol", fields.name);
    let mut inner = Fields::new(table, at, (&SERVICE_PROXY_PROTOCOL, &shown), fields.report);
    let versions = [("off", SendProxy::Off), ("v1", SendProxy::V1), ("v2", SendProxy::V2)];
    ProxyProtocol {
        accept_from: inner.list("accept_from", prefix),
        send: inner.choice("send", &versions).unwrap_or_default(),
    }
}

fn access(fields: &mut Fields<'_, '_>, mode: Mode) -> (Access, Option<Denial>) {
    let mut access = Access::OPEN;
    let mut deny = None;
    let mut long = Vec::new();
    if let Some((table, at)) = fields.table("access") {
        let shown = format!("{}.access", fields.name);
        let mut inner = Fields::new(table, at, (&SERVICE_ACCESS, &shown), fields.report);
        access = layer(&mut inner);
        deny = denial(&mut inner);
        if mode == Mode::Http && deny == Some(Denial::Reset) {
            let message = "deny = \"reset\" is not for http services, whose denials are answers";
            inner.fault("deny", message);
        }
        let set =
            |entry: &&Entry| !matches!(&entry.node.value, Value::Array(list) if list.is_empty());
        long = table.entries.iter().filter(set).map(|entry| entry.key.as_str()).collect();
    }
    short_form(fields, &long, &mut access);
    (access, deny)
}
