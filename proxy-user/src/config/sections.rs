//! `[kernel]`, `[geoip]`, `[log]`

use std::{num::NonZeroU32, time::Duration};

use super::{
    Geoip, GeoipUpdate, Hook, HookChoice, Keep, Kernel, Log, Overload, StoreFailure,
    fault::At,
    fields::{Fields, choose},
    forward::nat,
    schema::GEOIP_UPDATE,
    tree::Value,
    units,
    urls::{is_trusted, url},
};

const HOOKS: [(&str, Hook); 4] = [
    ("auto", Hook::Tc),
    ("tc", Hook::Tc),
    ("xdp-native", Hook::XdpNative),
    ("xdp-generic", Hook::XdpGeneric),
];
const MAX_FLOWS: NonZeroU32 = NonZeroU32::new(262_144).expect("not zero");
const MOST_FLOWS: u32 = 16 << 20;
const MAX_BYTES: u64 = 8 << 30;
const NOISE_MAX_BYTES: u64 = 2 << 30;

/// `[kernel]`, and where each entry of its `hook` stands.
pub(super) fn kernel(fields: &mut Fields<'_, '_>) -> (Kernel, Vec<At>) {
    let interfaces = fields.list("interfaces", |name| {
        let usable = !name.is_empty() && name.len() < 16 && !name.contains(['/', ' ']);
        if usable { Ok(name.to_owned()) } else { Err(format!("{name:?} names no interface")) }
    });
    let flows = fields.integer("max_flows", 1024..=MOST_FLOWS).and_then(NonZeroU32::new);
    let (hook, hooks_at) = hook(fields);
    let kernel = Kernel {
        interfaces: Some(interfaces).filter(|names| !names.is_empty()),
        hook,
        bpffs: fields.path("bpffs").unwrap_or_else(|| "/sys/fs/bpf/weir".into()),
        max_flows: flows.unwrap_or(MAX_FLOWS),
        required: fields.boolean("required").unwrap_or(true),
        nat: nat(fields),
    };
    (kernel, hooks_at)
}

fn hook(fields: &mut Fields<'_, '_>) -> (HookChoice, Vec<At>) {
    let mut choice = HookChoice { default: Hook::Tc, by_interface: Vec::new() };
    let mut places = Vec::new();
    let Some(node) = fields.node("hook") else { return (choice, places) };
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
                places.extend(hook.map(|_| entry.at));
            }
        }
        other => {
            let message = format!("hook takes a string or a table, not {}", other.kind());
            fields.report.fault(node.at, message);
        }
    }
    (choice, places)
}

pub(super) fn geoip(fields: &mut Fields<'_, '_>) -> Geoip {
    let default = Geoip::default();
    let days = fields.integer("stale_after_days", 1..=3650);
    let update = fields.table("update").and_then(|(table, at)| {
        let name = (&GEOIP_UPDATE, "geoip.update");
        update(&mut Fields::new(table, at, name, fields.report))
    });
    Geoip {
        database: fields.path("database").unwrap_or(default.database),
        update,
        stale_after: days
            .map_or(default.stale_after, |days| Duration::from_hours(24 * u64::from(days))),
    }
}

fn update(fields: &mut Fields<'_, '_>) -> Option<GeoipUpdate> {
    let address = url(fields, "url");
    if fields.node("url").is_none() {
        fields.report.fault(fields.at, "[geoip.update] has no url");
    }
    let sha256_url = url(fields, "sha256_url");
    let urls = [&address, &sha256_url].map(|url| url.as_deref());
    if address.is_some() && !urls.into_iter().flatten().any(is_trusted) {
        let message = "whoever is on the way can replace what comes over plain http: use https, \
                       or a sha256_url over https";
        fields.report.warn(fields.place("url"), message);
    }
    let every = fields.duration("every").unwrap_or(Duration::from_hours(24 * 7));
    Some(GeoipUpdate { url: address?, sha256_url, every })
}

pub(super) fn log(fields: &mut Fields<'_, '_>) -> Log {
    let overload = [("block", Overload::Block), ("drop", Overload::Drop)];
    let failure = [("proxy", StoreFailure::Proxy), ("refuse", StoreFailure::Refuse)];
    let interval = fields.integer("commit_interval_ms", 1..=60_000).unwrap_or(100);
    let max_bytes = fields.size("max_bytes").unwrap_or(MAX_BYTES);
    Log {
        keep: keep(fields).unwrap_or(Keep::For(Duration::from_hours(24 * 7))),
        max_bytes,
        noise_max_bytes: noise_max_bytes(fields, max_bytes),
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

/// By default a quarter, so that records of what was served have room in any case.
fn noise_max_bytes(fields: &mut Fields<'_, '_>, max_bytes: u64) -> u64 {
    let set = fields.size("noise_max_bytes");
    if set.is_some_and(|noise| noise >= max_bytes) {
        let message = "noise_max_bytes is part of max_bytes and must be less: nothing would be \
                       left for records of what was served";
        fields.fault("noise_max_bytes", message);
    }
    set.unwrap_or(NOISE_MAX_BYTES.min(max_bytes / 4))
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
