//! Who may use an `http` service: `[service.NAME.auth]`, and its short forms.

use std::time::Duration;

use super::{header, secret};
use crate::config::{
    Auth, HeaderSecret, Lockout, SecretHash,
    fault::At,
    fields::Fields,
    schema::{SERVICE_AUTH, SERVICE_AUTH_HASH, SERVICE_AUTH_HEADER, SERVICE_AUTH_LOCKOUT},
    sso::{Providers, long_rule, short_rule},
    tree::{Node, Value},
};

const SESSION_LIFETIME: Duration = Duration::from_hours(24);
const MOST_ATTEMPTS: u32 = 1000;
/// What lets people in, and may stand on the service itself.
const SHORT: [&str; 3] = ["password", "pin", "sso"];

/// `auth`, and where its parts stand.
pub(super) struct Placed {
    pub(super) auth: Auth,
    /// What switches it on.
    pub(super) at: At,
    /// Of hashes.
    pub(super) hashes: Vec<At>,
}

/// What is said of who may come; `None` where nothing is.
pub(super) fn auth(service: &mut Fields<'_, '_>, providers: &Providers) -> Option<Placed> {
    let keys = ["auth", SHORT[0], SHORT[1], SHORT[2]];
    let at = service.place(keys.into_iter().find(|key| service.node(key).is_some())?);
    let mut placed = Placed { auth: none(), at, hashes: Vec::new() };
    short_forms(service, providers, &mut placed);
    let Some((table, table_at)) = service.table("auth") else { return Some(placed) };
    for key in SHORT {
        if table.entry(key).is_some() && service.node(key).is_some() {
            service.fault(key, format!("{key} and auth.{key} are two forms of one thing"));
        }
    }
    let shown = format!("{}.auth", service.name);
    let mut fields = Fields::new(table, table_at, (&SERVICE_AUTH, &shown), service.report);
    long_form(&mut fields, providers, &mut placed);
    let is_method = |key: &&str| service.node(key).is_some() || table.entry(key).is_some();
    if !SHORT.iter().any(is_method) && table.entry("headers").is_none() {
        let message = format!("[{shown}] names nothing to sign in by: password, pin, headers, sso");
        service.report.fault(table_at, message);
    }
    Some(placed)
}

fn none() -> Auth {
    Auth {
        session_lifetime: SESSION_LIFETIME,
        password: None,
        pin: None,
        headers: Vec::new(),
        sso: None,
        lockout: Lockout::default(),
    }
}

fn short_forms(service: &mut Fields<'_, '_>, providers: &Providers, placed: &mut Placed) {
    placed.auth.password = hash(service, "password", "password", secret::password, placed);
    placed.auth.pin = hash(service, "pin", "pin", secret::password, placed);
    placed.auth.sso = short_rule(service, providers);
}

fn long_form(fields: &mut Fields<'_, '_>, providers: &Providers, placed: &mut Placed) {
    placed.auth.session_lifetime = fields.duration("session_lifetime").unwrap_or(SESSION_LIFETIME);
    if let Some(password) = hash_table(fields, "password", placed) {
        placed.auth.password = Some(password);
    }
    if let Some(pin) = hash_table(fields, "pin", placed) {
        placed.auth.pin = Some(pin);
    }
    placed.auth.headers = headers(fields, placed);
    if let Some(rule) = long_rule(fields, providers) {
        placed.auth.sso = Some(rule);
    }
    placed.auth.lockout = lockout(fields);
}

/// A hash at `key`, which messages call `shown`.
fn hash(
    fields: &mut Fields<'_, '_>,
    key: &str,
    shown: &str,
    read: impl Fn(&str) -> Result<SecretHash, String>,
    placed: &mut Placed,
) -> Option<SecretHash> {
    let (text, at) = fields.string(key)?;
    placed.hashes.push(at);
    read(text).map_err(|why| fields.report.fault(at, format!("{shown}: {why}"))).ok()
}

/// `{ hash = "..." }`
fn hash_table(fields: &mut Fields<'_, '_>, key: &str, placed: &mut Placed) -> Option<SecretHash> {
    let (table, at) = fields.table(key)?;
    let shown = format!("{}.{key}", fields.name);
    let mut inner = Fields::new(table, at, (&SERVICE_AUTH_HASH, &shown), fields.report);
    if inner.node("hash").is_none() {
        inner.report.fault(at, format!("[{shown}] has no hash, as \"weir hash\" prints it"));
    }
    hash(&mut inner, "hash", &format!("{key}.hash"), secret::password, placed)
}

fn headers(fields: &mut Fields<'_, '_>, placed: &mut Placed) -> Vec<HeaderSecret> {
    let Some(node) = fields.node("headers") else { return Vec::new() };
    let wanted = "headers takes tables: { name = \"X-Api-Key\", hash = \"sha256:...\" }";
    let Value::Array(items) = &node.value else {
        fields.report.fault(node.at, wanted);
        return Vec::new();
    };
    if items.is_empty() {
        fields.report.fault(node.at, "headers is empty: nobody could come by one");
    }
    let shown = format!("{}.headers", fields.name);
    let mut headers = Vec::new();
    for Node { at, value } in items {
        let Value::Table(table) = value else {
            fields.report.fault(*at, wanted);
            continue;
        };
        let mut inner = Fields::new(table, *at, (&SERVICE_AUTH_HEADER, &shown), fields.report);
        headers.extend(header_secret(&mut inner, placed));
    }
    headers
}

fn header_secret(fields: &mut Fields<'_, '_>, placed: &mut Placed) -> Option<HeaderSecret> {
    for key in ["name", "hash"] {
        if fields.node(key).is_none() {
            fields.report.fault(fields.at, format!("an entry of headers has no {key}"));
        }
    }
    let name = fields.string("name").and_then(|(text, at)| {
        let name = header::with_secret(text);
        name.map_err(|why| fields.report.fault(at, format!("headers: {why}"))).ok()
    });
    let hash = hash(fields, "hash", "headers: hash", secret::key, placed);
    Some(HeaderSecret { name: name?, hash: hash? })
}

fn lockout(fields: &mut Fields<'_, '_>) -> Lockout {
    let default = Lockout::default();
    let Some((table, at)) = fields.table("lockout") else { return default };
    let shown = format!("{}.lockout", fields.name);
    let mut inner = Fields::new(table, at, (&SERVICE_AUTH_LOCKOUT, &shown), fields.report);
    Lockout {
        attempts: inner.integer("attempts", 1..=MOST_ATTEMPTS).unwrap_or(default.attempts),
        window: inner.duration("window").unwrap_or(default.window),
        duration: inner.duration("duration").unwrap_or(default.duration),
    }
}
