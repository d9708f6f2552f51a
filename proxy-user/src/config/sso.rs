//! `[sso.NAME]`, and whom services let in by it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    SsoAllow, SsoProvider, SsoRule,
    fault::{At, Report},
    fields::Fields,
    listen::is_host_name,
    pem::ca_file,
    schema::{SERVICE_AUTH_SSO, SSO_PROVIDER, nearest},
    secret_file::read_secret,
    tree::{Table, Value},
    urls::{trusted_origin, trusted_url},
};

const SCOPES: [&str; 3] = ["openid", "email", "profile"];
const RECHECK: Duration = Duration::from_hours(1);

/// Providers by name; `None` for one whose table has a fault.
pub(super) type Providers = BTreeMap<String, Option<Arc<SsoProvider>>>;

/// Every `[sso.NAME]`.
pub(super) fn providers(table: &Table, report: &mut Report) -> Providers {
    let mut providers = Providers::new();
    for entry in &table.entries {
        let Value::Table(inner) = &entry.node.value else {
            report.fault(entry.node.at, format!("sso.{} takes a table", entry.key));
            continue;
        };
        let shown = format!("sso.{}", entry.key);
        let mut fields = Fields::new(inner, entry.at, (&SSO_PROVIDER, &shown), report);
        let provider = provider(&mut fields, &entry.key).map(Arc::new);
        providers.insert(entry.key.clone(), provider);
    }
    providers
}

fn provider(fields: &mut Fields<'_, '_>, name: &str) -> Option<SsoProvider> {
    for key in ["issuer", "client_id", "client_secret_file"] {
        if fields.node(key).is_none() {
            let message = format!("[{}] has no {key}", fields.name);
            fields.report.fault(fields.at, message);
        }
    }
    let issuer = issuer(fields);
    let client_id = filled(fields, "client_id");
    let client_secret = client_secret(fields);
    let scopes = scopes(fields);
    let groups_claim = filled(fields, "groups_claim");
    let callback = trusted_origin(fields, "callback");
    let recheck = fields.duration("recheck").unwrap_or(RECHECK);
    let ca_file = ca_file(fields);
    Some(SsoProvider {
        name: name.to_owned(),
        issuer: issuer?,
        client_id: client_id?,
        client_secret: client_secret?,
        scopes,
        groups_claim: groups_claim.unwrap_or_else(|| "groups".to_owned()),
        callback,
        recheck,
        ca_file,
    })
}

/// As the provider writes it, to the last slash (`OpenID` Connect Discovery, 4.3).
fn issuer(fields: &mut Fields<'_, '_>) -> Option<String> {
    let issuer = trusted_url(fields, "issuer")?;
    if issuer.contains('?') {
        fields.fault("issuer", "issuer has a query, which no issuer has");
        return None;
    }
    Some(issuer)
}

fn filled(fields: &mut Fields<'_, '_>, key: &str) -> Option<String> {
    let (text, at) = fields.string(key)?;
    if text.is_empty() {
        fields.report.fault(at, format!("{key} is empty"));
        return None;
    }
    Some(text.to_owned())
}

fn client_secret(fields: &mut Fields<'_, '_>) -> Option<String> {
    let path = fields.path("client_secret_file")?;
    let secret = read_secret(&path).and_then(|text| {
        let secret = text.trim_end();
        let empty = || format!("{}: is empty", path.display());
        if secret.is_empty() { Err(empty()) } else { Ok(secret.to_owned()) }
    });
    secret.map_err(|why| fields.fault("client_secret_file", why)).ok()
}

fn scopes(fields: &mut Fields<'_, '_>) -> Vec<String> {
    if fields.node("scopes").is_none() {
        return SCOPES.map(str::to_owned).to_vec();
    }
    let scopes = fields.list("scopes", |scope| {
        let is_scope = !scope.is_empty() && scope.chars().all(|c| c.is_ascii_graphic());
        if is_scope { Ok(scope.to_owned()) } else { Err(format!("{scope:?} is no scope")) }
    });
    if !scopes.iter().any(|scope| scope == "openid") {
        fields.fault("scopes", "scopes lacks \"openid\", without which nobody is signed in");
    }
    scopes
}

/// `sso = "corp"`: whoever the provider signs in.
pub(super) fn short_rule(fields: &mut Fields<'_, '_>, providers: &Providers) -> Option<SsoRule> {
    let (name, at) = fields.string("sso")?;
    let provider = defined((name, at), providers, fields.report)?;
    let message = format!(
        "sso = {name:?} lets in whoever that provider signs in; [{}.auth] sso = {{ ... }} says \
         who, or allow_any_user = true",
        fields.name
    );
    fields.report.warn(at, message);
    Some(SsoRule { provider, allow: SsoAllow::AnyUser })
}

/// `auth.sso`
pub(super) fn long_rule(fields: &mut Fields<'_, '_>, providers: &Providers) -> Option<SsoRule> {
    let (table, at) = fields.table("sso")?;
    let shown = format!("{}.sso", fields.name);
    let mut inner = Fields::new(table, at, (&SERVICE_AUTH_SSO, &shown), fields.report);
    if inner.node("provider").is_none() {
        inner.report.fault(at, format!("[{shown}] has no provider: the NAME of an [sso.NAME]"));
    }
    let allow = allow(&mut inner);
    let named = inner.string("provider")?;
    let provider = defined(named, providers, inner.report)?;
    Some(SsoRule { provider, allow })
}

fn defined(
    (name, at): (&str, At),
    providers: &Providers,
    report: &mut Report,
) -> Option<Arc<SsoProvider>> {
    if let Some(known) = providers.get(name) {
        return known.clone();
    }
    let mut message = format!("there is no provider [sso.{name}]");
    if let Some(near) = nearest(providers.keys().map(String::as_str), name) {
        message = format!("{message}; did you mean {near:?}?");
    }
    report.fault(at, message);
    None
}

fn allow(fields: &mut Fields<'_, '_>) -> SsoAllow {
    let groups = fields.list("allowed_groups", |group| {
        if group.is_empty() { Err("a group has a name".to_owned()) } else { Ok(group.to_owned()) }
    });
    let emails = fields.list("allowed_emails", email);
    let domains = fields.list("allowed_domains", domain);
    let any = fields.boolean("allow_any_user").unwrap_or(false);
    let lists = ["allowed_groups", "allowed_emails", "allowed_domains"];
    match (any, lists.iter().any(|key| has_entries(fields, key))) {
        (true, false) => return SsoAllow::AnyUser,
        (true, true) => {
            fields.fault("allow_any_user", "allow_any_user makes the lists beside it pointless");
        }
        (false, true) => {}
        (false, false) => {
            let message = format!(
                "[{}] says of nobody that they may come: allowed_groups, allowed_emails or \
                 allowed_domains, or allow_any_user = true",
                fields.name
            );
            fields.report.fault(fields.at, message);
        }
    }
    SsoAllow::Listed { groups, emails, domains }
}

/// Whether there are some, be they right or wrong.
fn has_entries(fields: &Fields<'_, '_>, key: &str) -> bool {
    let value = fields.node(key).map(|node| &node.value);
    matches!(value, Some(Value::Array(entries)) if !entries.is_empty())
}

fn email(text: &str) -> Result<String, String> {
    if is_email(text) { Ok(text.to_lowercase()) } else { Err(format!("{text:?} is no e-mail")) }
}

/// Whether it may be an address of RFC 5321, as far as a typo would show.
pub(super) fn is_email(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    plain && parts.is_some_and(|(local, host)| !local.is_empty() && is_host_name(host))
}

fn domain(text: &str) -> Result<String, String> {
    if is_host_name(text) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("{text:?} is no domain: what follows the @ of an e-mail"))
    }
}
