//! Where services listen and where their connections end.

use std::net::{IpAddr, SocketAddr};

use super::{Listen, ListenAddress, Target, fault::At, fields::Fields, tree::Value};

/// `listen`: one entry or several.
pub(super) fn listen(fields: &mut Fields<'_, '_>) -> Vec<(Listen, At)> {
    let Some(node) = fields.node("listen") else { return Vec::new() };
    let items = match &node.value {
        Value::Array(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if items.is_empty() {
        fields.fault("listen", "listen is empty: a port, say");
    }
    let mut entries = Vec::new();
    for item in items {
        let entry = match &item.value {
            Value::Integer(port) => port.and_then(|port| any(u16::try_from(port).ok()?)),
            Value::String(text) => parse(text),
            _ => None,
        };
        match entry {
            Some(entry) => entries.push((entry, item.at)),
            None => fields.report.fault(
                item.at,
                "listen takes a port, \":PORT\", \"0.0.0.0:PORT\", \"[::]:PORT\" or \
                 \"ADDRESS:PORT\", or an array of them",
            ),
        }
    }
    entries
}

fn any(port: u16) -> Option<Listen> {
    (port != 0).then_some(Listen { address: ListenAddress::Any, port })
}

fn parse(text: &str) -> Option<Listen> {
    if let Some(port) = text.strip_prefix(':') {
        return any(port.parse().ok()?);
    }
    let address: SocketAddr = text.parse().ok()?;
    let port = any(address.port())?.port;
    let address = match address.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => ListenAddress::AnyV4,
        IpAddr::V6(ip) if ip.is_unspecified() => ListenAddress::AnyV6,
        ip => ListenAddress::One(ip),
    };
    Some(Listen { address, port })
}

/// `target` or `targets`.
pub(super) fn target(fields: &mut Fields<'_, '_>) -> Option<(Target, At)> {
    let several = fields.strings("targets");
    let single = fields.string("target");
    let (text, at) = match (single, several.as_slice()) {
        (Some(_), [_, ..]) => {
            fields.fault("targets", "target and targets are two forms of one thing");
            return None;
        }
        (Some(target), []) => target,
        (None, [target]) => *target,
        (None, []) => {
            missing(fields);
            return None;
        }
        (None, [_, (_, second), ..]) => {
            fields.report.fault(*second, "more than one target is not supported yet");
            return None;
        }
    };
    match parse_target(text) {
        Ok(target) => Some((target, at)),
        Err(why) => {
            fields.report.fault(at, why);
            None
        }
    }
}

/// Tells that there is no target, unless it was told that there is a bad one.
fn missing(fields: &mut Fields<'_, '_>) {
    const FORMS: &str = "\"host\", \"ADDRESS:PORT\" or \"NAME:PORT\"";
    match fields.node("targets").map(|node| &node.value) {
        None if fields.node("target").is_none() => {
            let message = format!("[{}] has no target: {FORMS}", fields.name);
            fields.report.fault(fields.at, message);
        }
        Some(Value::Array(items)) if items.is_empty() => {
            fields.fault("targets", format!("targets is empty: {FORMS}"));
        }
        _ => {}
    }
}

/// Whether the target says that the service is one over HTTP.
pub(super) fn is_http(target: &str) -> bool {
    target.starts_with("http://") || target.starts_with("https://")
}

fn parse_target(text: &str) -> Result<Target, String> {
    if text == "host" {
        return Ok(Target::Host);
    }
    if is_http(text) {
        return Err(format!("target {text:?}: HTTP services are not supported yet"));
    }
    let bad = || format!("target {text:?} is not \"host\", \"ADDRESS:PORT\" or \"NAME:PORT\"");
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
    Ok(Target::Name { host: host.to_owned(), port })
}

/// RFC 1123, 2.1; underscores, which container networks use, too.
pub(super) fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
