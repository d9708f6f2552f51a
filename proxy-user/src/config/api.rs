//! `[api]` and `[[sink]]`

use std::net::{Ipv4Addr, SocketAddr};

use super::{
    Api, Sink, SinkKind,
    fault::{At, Report},
    fields::{Fields, choose},
    listen::is_host_name,
    prefix::prefix,
    schema::{SINK, SINK_FILTER},
    tree::{Node, Value},
};
use crate::record::Verdict;

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8790);

/// `[api]` and where its `listen` stands.
pub(super) fn api(fields: &mut Fields<'_, '_>) -> (Api, At) {
    let api = Api {
        listen: listen(fields).unwrap_or(LISTEN),
        domain: domain(fields),
        allow: fields.list("allow", prefix),
        control_group: fields
            .string("control_group")
            .map_or_else(|| "weir".to_owned(), |(group, _)| group.to_owned()),
    };
    if fields.boolean("tls") == Some(true) {
        fields.fault("tls", "\"tls\" in [api] is not supported yet");
    }
    (api, fields.place("listen"))
}

fn listen(fields: &mut Fields<'_, '_>) -> Option<SocketAddr> {
    let (text, at) = fields.string("listen")?;
    let Some(address) = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0)
    else {
        fields.report.fault(at, format!("listen takes \"ADDRESS:PORT\", not {text:?}"));
        return None;
    };
    if !address.ip().to_canonical().is_loopback() {
        let message = "the API beyond loopback needs tls, which is not supported yet";
        fields.report.fault(at, message);
    }
    Some(address)
}

fn domain(fields: &mut Fields<'_, '_>) -> Option<String> {
    let (domain, at) = fields.string("domain")?;
    if !is_host_name(domain) {
        fields.report.fault(at, format!("domain {domain:?} is no host name"));
    }
    Some(domain.to_ascii_lowercase())
}

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
    match fields.string("kind") {
        Some(("jsonl", _)) => {}
        Some(("syslog", at)) => {
            fields.report.fault(at, "kind \"syslog\" is not supported yet");
            return None;
        }
        Some((other, at)) => {
            fields.report.fault(at, format!("kind is \"jsonl\", not {other:?}"));
            return None;
        }
        None => {
            if fields.node("kind").is_none() {
                fields.report.fault(fields.at, "[[sink]] has no kind: \"jsonl\"");
            }
            return None;
        }
    }
    let path = fields.path("path");
    if path.is_none() && fields.node("path").is_none() {
        fields.report.fault(fields.at, "[[sink]] has no path: of a file, or \"-\" for stdout");
    }
    let verdicts = fields.table("filter").map(|(table, at)| {
        verdicts(&mut Fields::new(table, at, (&SINK_FILTER, "sink.filter"), fields.report))
    });
    let kind = match path? {
        path if path.as_os_str() == "-" => SinkKind::JsonlStdout,
        path => SinkKind::JsonlFile(path),
    };
    Some(Sink { kind, verdicts: verdicts.unwrap_or_default() })
}

fn verdicts(fields: &mut Fields<'_, '_>) -> Vec<Verdict> {
    let choices = Verdict::ALL.map(|verdict| (verdict.as_str(), verdict));
    let words = fields.strings("verdict");
    words
        .into_iter()
        .filter_map(|(word, at)| choose(fields.report, at, "verdict", word, &choices))
        .collect()
}
