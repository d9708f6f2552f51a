//! Where services listen.

use std::net::{IpAddr, SocketAddr};

use super::{Listen, ListenAddress, fault::At, fields::Fields, tree::Value};

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

/// Whether a host may have that name: RFC 1123, 2.1; underscores, which container networks
/// use, too.
pub fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
