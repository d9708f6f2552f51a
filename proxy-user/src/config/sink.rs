//! `[[sink]]`

use std::net::SocketAddr;

use super::{
    Sink, SinkKind, SyslogAddress,
    fault::Report,
    fields::{Fields, choose},
    listen::is_host_name,
    schema::{SINK, SINK_FILTER},
    tree::{Node, Value},
};
use crate::record::Verdict;

pub(super) fn sinks(node: &Node, report: &mut Report) -> Vec<Sink> {
    let Value::Array(items) = &node.value else {
        report.fault(node.at, "sink takes tables: [[sink]]");
        return Vec::new();
    };
    let mut sinks = Vec::new();
    for item in items {
        let Value::Table(table) = &item.value else {
            report.fault(item.at, "sink takes tables: [[sink]]");
            continue;
        };
        sinks.extend(sink(&mut Fields::new(table, item.at, (&SINK, "sink"), report)));
    }
    sinks
}

fn sink(fields: &mut Fields<'_, '_>) -> Option<Sink> {
    let kind = match fields.string("kind") {
        Some(("jsonl", _)) => {
            misplaced(fields, "address", "jsonl", "path");
            jsonl(fields)
        }
        Some(("syslog", _)) => {
            misplaced(fields, "path", "syslog", "address");
            syslog(fields)
        }
        Some((other, at)) => {
            fields.report.fault(at, format!("kind is \"jsonl\" or \"syslog\", not {other:?}"));
            return None;
        }
        None => {
            if fields.node("kind").is_none() {
                fields.report.fault(fields.at, "[[sink]] has no kind: \"jsonl\" or \"syslog\"");
            }
            return None;
        }
    };
    let verdicts = fields.table("filter").map(|(table, at)| {
        verdicts(&mut Fields::new(table, at, (&SINK_FILTER, "sink.filter"), fields.report))
    });
    Some(Sink { kind: kind?, verdicts: verdicts.unwrap_or_default() })
}

/// A key that this kind does not have.
fn misplaced(fields: &mut Fields<'_, '_>, key: &'static str, kind: &str, other: &str) {
    if fields.node(key).is_some() {
        fields.fault(key, format!("{key:?} is not of kind {kind:?}, which has {other:?}"));
    }
}

fn jsonl(fields: &mut Fields<'_, '_>) -> Option<SinkKind> {
    let path = fields.path("path");
    if path.is_none() && fields.node("path").is_none() {
        fields.report.fault(fields.at, "[[sink]] has no path: of a file, or \"-\" for stdout");
    }
    Some(match path? {
        path if path.as_os_str() == "-" => SinkKind::JsonlStdout,
        path => SinkKind::JsonlFile(path),
    })
}

fn syslog(fields: &mut Fields<'_, '_>) -> Option<SinkKind> {
    const FORMS: &str = "\"udp://HOST:PORT\", \"tcp://HOST:PORT\" or \"unix:///PATH\"";
    let Some((text, at)) = fields.string("address") else {
        if fields.node("address").is_none() {
            fields.report.fault(fields.at, format!("[[sink]] has no address: {FORMS}"));
        }
        return None;
    };
    let address = match text.split_once("://") {
        Some(("udp", place)) if is_place(place) => SyslogAddress::Udp(place.to_owned()),
        Some(("tcp", place)) if is_place(place) => SyslogAddress::Tcp(place.to_owned()),
        Some(("unix", path)) if path.starts_with('/') => SyslogAddress::Unix(path.into()),
        _ => {
            fields.report.fault(at, format!("address takes {FORMS}, not {text:?}"));
            return None;
        }
    };
    Some(SinkKind::Syslog(address))
}

/// An address or a name, and a port.
fn is_place(text: &str) -> bool {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return address.port() != 0;
    }
    let Some((name, port)) = text.rsplit_once(':') else { return false };
    is_host_name(name) && port.parse::<u16>().is_ok_and(|port| port != 0)
}

fn verdicts(fields: &mut Fields<'_, '_>) -> Vec<Verdict> {
    let choices = Verdict::ALL.map(|verdict| (verdict.as_str(), verdict));
    let words = fields.strings("verdict");
    words
        .into_iter()
        .filter_map(|(word, at)| choose(fields.report, at, "verdict", word, &choices))
        .collect()
}
