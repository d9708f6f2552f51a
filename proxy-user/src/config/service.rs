//! `[service.NAME]`

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use super::{
    Access, Denial, Destination, Listen, Mode, ProxyProtocol, SendProxy, Service,
    access::{denial, layer, short_form},
    fault::{At, Report},
    fields::Fields,
    listen::{is_host_name, listen},
    prefix::prefix,
    schema::{SERVICE, SERVICE_ACCESS, SERVICE_PROXY_PROTOCOL},
    target::{destination, is_over_http},
    tree::{Entry, Table, Value},
};

/// A service and where its parts stand.
pub(super) struct Placed {
    pub(super) service: Arc<Service>,
    pub(super) at: At,
    pub(super) listen: Vec<(Listen, At)>,
    /// Of each target, in their order; a guard's "host".
    pub(super) targets: Vec<At>,
}

const MOST_CONNECTIONS: u32 = 1_000_000;

/// Every enabled service.
pub(super) fn services(
    table: &Table,
    default_denial: Option<Denial>,
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
        services.extend(service(&mut fields, &entry.key, default_denial));
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
) -> Option<Placed> {
    let listening = listen(fields);
    // One over HTTP needs neither; that it is not supported says its target.
    let mut mode = Mode::Tcp;
    if fields.node("mode").is_some() || !is_over_http(fields) {
        mode = self::mode(fields).unwrap_or(mode);
        if fields.node("listen").is_none() {
            fields.report.fault(fields.at, format!("[{}] has no listen: a port, say", fields.name));
        }
    }
    let destination = destination(fields, mode);
    let (access, deny) = access(fields);
    let connect = fields.duration("connect_timeout");
    let idle = fields.duration("idle_timeout");
    let most = fields.integer("max_connections", 1..=MOST_CONNECTIONS);
    let domain = domain(fields, mode);
    let proxy_protocol = proxy_protocol(fields);
    let enabled = fields.boolean("enabled").unwrap_or(true);
    let (destination, targets) = destination?;
    let service = Service {
        name: name.to_owned(),
        mode,
        domain,
        listen: listening.iter().map(|(listen, _)| *listen).collect(),
        destination,
        access,
        deny: deny.or(default_denial).unwrap_or(Denial::Drop),
        connect_timeout: connect.unwrap_or(Duration::from_secs(5)),
        idle_timeout: idle.unwrap_or_else(|| default_idle_timeout(mode)),
        max_connections: most.and_then(NonZeroU32::new).unwrap_or(DEFAULT_CONNECTIONS),
        proxy_protocol,
    };
    refuse_what_no_mode_has(fields, &service, &targets);
    warn_of_ignored(fields, &service);
    enabled.then(|| Placed {
        service: Arc::new(service),
        at: fields.at,
        listen: listening,
        targets,
    })
}

const DEFAULT_CONNECTIONS: NonZeroU32 = NonZeroU32::new(10_000).expect("not zero");

fn default_idle_timeout(mode: Mode) -> Duration {
    match mode {
        Mode::Http | Mode::Tcp | Mode::Tls => Duration::from_hours(1),
        Mode::Udp => Duration::from_secs(30),
    }
}

fn mode(fields: &mut Fields<'_, '_>) -> Option<Mode> {
    if fields.node("mode").is_none() {
        let message = format!("[{}] has no mode: write mode = \"tcp\"", fields.name);
        fields.report.fault(fields.at, message);
        return None;
    }
    if let Some(("http", at)) = fields.string("mode") {
        fields.report.fault(at, "mode \"http\" is not supported yet");
        return None;
    }
    fields.choice("mode", &[("tcp", Mode::Tcp), ("udp", Mode::Udp), ("tls", Mode::Tls)])
}

fn domain(fields: &mut Fields<'_, '_>, mode: Mode) -> Option<String> {
    let Some((domain, at)) = fields.string("domain") else {
        if mode == Mode::Tls && fields.node("domain").is_none() {
            let message =
                format!("[{}] has no domain: the name that its clients ask for", fields.name);
            fields.report.fault(fields.at, message);
        }
        return None;
    };
    let name = if mode == Mode::Tls { domain.strip_prefix("*.") } else { None };
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

/// What the service's mode cannot do.
fn refuse_what_no_mode_has(fields: &mut Fields<'_, '_>, service: &Service, targets: &[At]) {
    if let (Mode::Tls, true, [at]) = (service.mode, service.is_guard(), targets) {
        let message = "target = \"host\" is for tcp and udp services";
        fields.report.fault(*at, message);
    }
    let relays_streams = service.mode != Mode::Udp && !service.is_guard();
    if service.proxy_protocol != ProxyProtocol::default() && !relays_streams {
        let message = "proxy_protocol is for tcp and tls services whose target Weir dials";
        fields.fault("proxy_protocol", message);
    }
}

fn access(fields: &mut Fields<'_, '_>) -> (Access, Option<Denial>) {
    let mut access = Access::OPEN;
    let mut deny = None;
    let mut long = Vec::new();
    if let Some((table, at)) = fields.table("access") {
        let shown = format!("{}.access", fields.name);
        let mut inner = Fields::new(table, at, (&SERVICE_ACCESS, &shown), fields.report);
        access = layer(&mut inner);
        deny = denial(&mut inner);
        let set =
            |entry: &&Entry| !matches!(&entry.node.value, Value::Array(list) if list.is_empty());
        long = table.entries.iter().filter(set).map(|entry| entry.key.as_str()).collect();
    }
    short_form(fields, &long, &mut access);
    (access, deny)
}

/// A guarded service has nothing to dial and no relay to limit.
fn warn_of_ignored(fields: &mut Fields<'_, '_>, service: &Service) {
    if service.destination != Destination::Host {
        return;
    }
    for key in ["connect_timeout", "max_connections", "balance", "health"] {
        if fields.node(key).is_some() {
            let at = fields.place(key);
            fields.report.warn(at, format!("{key} has no effect where target = \"host\""));
        }
    }
}
