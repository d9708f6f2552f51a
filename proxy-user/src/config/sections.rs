//! `[kernel]`, `[geoip]`, `[log]`

use std::{num::NonZeroU32, time::Duration};

use super::{
    Geoip, GeoipUpdate, Hook, HookChoice, Keep, Kernel, Log, Overload, StoreFailure,
    fields::{Fields, choose},
    schema::GEOIP_UPDATE,
    tree::Value,
    units,
};

const HOOKS: [(&str, Hook); 4] = [
    ("auto", Hook::Tc),
    ("tc", Hook::Tc),
    ("xdp-native", Hook::XdpNative),
    ("xdp-generic", Hook::XdpGeneric),
];
const MAX_FLOWS: NonZeroU32 = NonZeroU32::new(262_144).expect("not zero");
const MOST_FLOWS: u32 = 16 << 20;

pub(super) fn kernel(fields: &mut Fields<'_, '_>) -> Kernel {
    let interfaces = fields.list("interfaces", |name| {
        let usable = !name.is_empty() && name.len() < 16 && !name.contains(['/', ' ']);
        if usable { Ok(name.to_owned()) } else { Err(format!("{name:?} names no interface")) }
    });
    let flows = fields.integer("max_flows", 1024..=MOST_FLOWS).and_then(NonZeroU32::new);
    Kernel {
        interfaces: Some(interfaces).filter(|names| !names.is_empty()),
        hook: hook(fields),
        bpffs: fields.path("bpffs").unwrap_or_else(|| "/sys/fs/bpf/weir".into()),
        max_flows: flows.unwrap_or(MAX_FLOWS),
        required: fields.boolean("required").unwrap_or(true),
    }
}

fn hook(fields: &mut Fields<'_, '_>) -> HookChoice {
    let mut choice = HookChoice { default: Hook::Tc, by_interface: Vec::new() };
    let Some(node) = fields.node("hook") else { return choice };
    match &node.value {
        Value::String(text) => {
            let hook = choose(fields.report, node.at, "hook", text, &HOOKS);
            choice.default = hook.unwrap_or(Hook::Tc);
        }
        Value::Table(table) => {
            for entry in &table.entries {
                let Value::String(text) = &entry.node.value else {
                    let message = format!("hook.{} takes a string", entry.key);
                    fields.report.fault(entry.node.at, message);
                    continue;
                };
                let hook = choose(fields.report, entry.node.at, "hook", text, &HOOKS);
                choice.by_interface.extend(hook.map(|hook| (entry.key.clone(), hook)));
            }
        }
        other => {
            let message = format!("hook takes a string or a table, not {}", other.kind());
            fields.report.fault(node.at, message);
        }
    }
    choice
}

pub(super) fn geoip(fields: &mut Fields<'_, '_>) -> Option<Geoip> {
    let database = fields.path("database");
    if database.is_none() && fields.node("database").is_none() {
        fields.report.fault(fields.at, "[geoip] has no database: the path of an MMDB file");
    }
    let days = fields.integer("stale_after_days", 1..=3650).unwrap_or(45);
    let update = fields.table("update").and_then(|(table, at)| {
        let name = (&GEOIP_UPDATE, "geoip.update");
        update(&mut Fields::new(table, at, name, fields.report))
    });
    Some(Geoip {
        database: database?,
        update,
        stale_after: Duration::from_hours(24 * u64::from(days)),
    })
}

fn update(fields: &mut Fields<'_, '_>) -> Option<GeoipUpdate> {
    let address = url(fields, "url");
    if fields.node("url").is_none() {
        fields.report.fault(fields.at, "[geoip.update] has no url");
    }
    let sha256_url = url(fields, "sha256_url");
    let every = fields.duration("every").unwrap_or(Duration::from_hours(24 * 7));
    Some(GeoipUpdate { url: address?, sha256_url, every })
}

fn url(fields: &mut Fields<'_, '_>, key: &str) -> Option<String> {
    let (text, at) = fields.string(key)?;
    if !text.starts_with("https://") && !text.starts_with("http://") {
        fields.report.fault(at, format!("{key} takes an http:// or https:// URL, not {text:?}"));
        return None;
    }
    Some(text.to_owned())
}

pub(super) fn log(fields: &mut Fields<'_, '_>) -> Log {
    let overload = [("block", Overload::Block), ("drop", Overload::Drop)];
    let failure = [("proxy", StoreFailure::Proxy), ("refuse", StoreFailure::Refuse)];
    let interval = fields.integer("commit_interval_ms", 1..=60_000).unwrap_or(100);
    Log {
        keep: keep(fields).unwrap_or(Keep::For(Duration::from_hours(24 * 7))),
        max_bytes: fields.size("max_bytes").unwrap_or(8 << 30),
        noise_max_bytes: fields.size("noise_max_bytes").unwrap_or(2 << 30),
        commit_interval: Duration::from_millis(interval.into()),
        on_overload: fields.choice("on_overload", &overload).unwrap_or(Overload::Block),
        on_store_failure: fields
            .choice("on_store_failure", &failure)
            .unwrap_or(StoreFailure::Proxy),
        deny_records_per_second: fields
            .integer("deny_records_per_second", 0..=1_000_000)
            .unwrap_or(1000),
    }
}

fn keep(fields: &mut Fields<'_, '_>) -> Option<Keep> {
    let (text, at) = fields.string("keep")?;
    match text {
        "forever" => return Some(Keep::Forever),
        "none" => return Some(Keep::None),
        _ => {}
    }
    let time = units::duration(text).filter(|time| !time.is_zero());
    if time.is_none() {
        let message = "keep takes a duration like \"7d\", \"forever\" or \"none\"";
        fields.report.fault(at, format!("{message}, not {text:?}"));
    }
    time.map(Keep::For)
}
