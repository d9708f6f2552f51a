//! The routes of a service: its own targets, and `[[service.NAME.route]]`.

use std::{cmp::Reverse, time::Duration};

use hyper::header::{HeaderName, HeaderValue};

use super::{header, path::route_path, url};
use crate::config::{
    Balance, Route, WebHealth, WebTarget,
    fault::At,
    fields::Fields,
    schema::SERVICE_ROUTE,
    target::{each_once, entries},
    tree::{Node, Table, Value},
};

const TIMEOUT: Duration = Duration::from_mins(1);

/// What holds for the targets of all routes.
pub(super) struct Common {
    pub(super) balance: Balance,
    /// `None`: not said.
    pub(super) health: Option<WebHealth>,
}

/// A route, and where each of its targets stands.
type Placed = (Route, Vec<At>);

/// Every route, the longest path first, and where their targets stand, in that order.
pub(super) fn routes(fields: &mut Fields<'_, '_>, common: &Common) -> (Vec<Route>, Vec<At>) {
    let mut all: Vec<(Placed, At)> = Vec::new();
    let has_own = ["target", "targets"].iter().any(|key| fields.node(key).is_some());
    if has_own || fields.node("route").is_none() {
        let at = fields.place(if fields.node("target").is_some() { "target" } else { "targets" });
        all.extend(of_service(fields, common).map(|route| (route, at)));
    }
    for (table, at) in tables(fields) {
        let shown = format!("{}.route", fields.name);
        let mut inner = Fields::new(table, at, (&SERVICE_ROUTE, &shown), fields.report);
        let Some((route, path_at)) = route(&mut inner, common) else { continue };
        let known = all.iter().find(|((known, _), _)| known.path == route.0.path);
        if let Some((_, known)) = known {
            let place = fields.report.place(*known);
            let message = format!("the path {:?} is routed at {place} already", route.0.path);
            fields.report.fault(path_at, message);
        }
        all.push((route, path_at));
    }
    all.sort_by_key(|((route, _), _)| Reverse(route.path.len()));
    let (routes, places): (Vec<_>, Vec<_>) = all.into_iter().map(|(placed, _)| placed).unzip();
    (routes, places.concat())
}

/// The tables of `route`.
fn tables<'a>(fields: &mut Fields<'a, '_>) -> Vec<(&'a Table, At)> {
    let Some(node) = fields.node("route") else { return Vec::new() };
    let wanted = format!("route takes tables: [[{}.route]]", fields.name);
    let Value::Array(items) = &node.value else {
        fields.report.fault(node.at, wanted);
        return Vec::new();
    };
    if items.is_empty() {
        fields.report.fault(node.at, format!("route is empty: [[{}.route]]", fields.name));
    }
    let mut tables = Vec::new();
    for Node { at, value } in items {
        match value {
            Value::Table(table) => tables.push((table, *at)),
            _ => fields.report.fault(*at, wanted.clone()),
        }
    }
    tables
}

/// What the service's own targets make: the route of every path.
fn of_service(fields: &mut Fields<'_, '_>, common: &Common) -> Option<Placed> {
    let (targets, places) = targets(fields)?;
    let route = Route {
        path: "/".to_owned(),
        balance: common.balance,
        health: health(common, targets.len()),
        targets,
        strip_prefix: false,
        public: false,
        request_headers: Vec::new(),
        timeout: TIMEOUT,
        skip_tls_verify: false,
    };
    Some((route, places))
}

/// An entry of `route`, and where its path stands.
fn route(fields: &mut Fields<'_, '_>, common: &Common) -> Option<(Placed, At)> {
    let path = path(fields);
    let targets = targets(fields);
    let strip_prefix = fields.boolean("strip_prefix").unwrap_or(false);
    let public = fields.boolean("public").unwrap_or(false);
    let request_headers = request_headers(fields);
    let timeout = fields.duration("timeout").unwrap_or(TIMEOUT);
    let skip_tls_verify = fields.boolean("skip_tls_verify").unwrap_or(false);
    let (targets, places) = targets?;
    let route = Route {
        path: path?,
        balance: common.balance,
        health: health(common, targets.len()),
        targets,
        strip_prefix,
        public,
        request_headers,
        timeout,
        skip_tls_verify,
    };
    Some(((route, places), fields.place("path")))
}

fn path(fields: &mut Fields<'_, '_>) -> Option<String> {
    if fields.node("path").is_none() {
        let message = format!("[[{}]] has no path: \"/api\", say", fields.name);
        fields.report.fault(fields.at, message);
    }
    let (text, at) = fields.string("path")?;
    route_path(text).map_err(|why| fields.report.fault(at, why)).ok()
}

/// Several targets are looked at in any case.
fn health(common: &Common, targets: usize) -> Option<WebHealth> {
    common.health.clone().or_else(|| (targets > 1).then(WebHealth::default))
}

/// Each target once, or a fault for each that is none.
fn targets(fields: &mut Fields<'_, '_>) -> Option<(Vec<WebTarget>, Vec<At>)> {
    let entries = entries(fields, url::FORM)?;
    each_once(fields, &entries, target)
}

fn target(text: &str) -> Result<WebTarget, String> {
    if text == "host" {
        return Err("target = \"host\" is for tcp and udp services".to_owned());
    }
    url::web_target(text)
}

/// A table of names and values.
fn request_headers(fields: &mut Fields<'_, '_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    let Some((table, _)) = fields.table("request_headers") else { return headers };
    for entry in &table.entries {
        let name = match header::to_target(&entry.key) {
            Ok(name) if headers.iter().any(|(known, _)| *known == name) => {
                Err(format!("header {:?} is there twice", entry.key))
            }
            name => name,
        };
        let name = name.map_err(|why| {
            fields.report.fault(entry.at, format!("request_headers: {why}"));
        });
        let value = header_value(&entry.node).map_err(|why| {
            let message = format!("request_headers: {:?} {why}", entry.key);
            fields.report.fault(entry.node.at, message);
        });
        headers.extend(name.ok().zip(value.ok()));
    }
    headers
}

fn header_value(node: &Node) -> Result<HeaderValue, String> {
    let Value::String(text) = &node.value else {
        return Err(format!("takes a string, not {}", node.value.kind()));
    };
    HeaderValue::from_str(text).map_err(|_| "takes visible ASCII characters".to_owned())
}
