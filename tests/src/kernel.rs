//! What the kernel holds of Weir, read without Weir.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::ns::{Namespace, run};

/// Where bpffs is mounted.
pub(crate) const BPFFS: &str = "/sys/fs/bpf";

/// The place of a namespace's pins: one of its own, so that leftovers have a name.
pub fn pins(namespace: &Namespace) -> PathBuf {
    Path::new(BPFFS).join(namespace.name())
}

/// Attempts that the kernel counted as denied, over all services and reasons.
pub fn denied_attempts(namespace: &Namespace) -> Result<u64> {
    let map = map(namespace, "denials")?;
    let text = run(Command::new("bpftool").args(["-j", "map", "dump", "pinned"]).arg(map))?;
    let entries: Vec<Value> = serde_json::from_str(&text)?;
    let mut sum = 0;
    for entry in &entries {
        for value in entry["values"].as_array().context("a map that is not per CPU")? {
            sum += first_word(&value["value"]).with_context(|| value.to_string())?;
        }
    }
    Ok(sum)
}

/// Kernel ids of the programs attached in a namespace and of the maps pinned for it.
#[derive(Debug)]
pub struct Objects {
    programs: BTreeSet<u64>,
    maps: BTreeSet<u64>,
}

impl Objects {
    /// Those of now.
    pub fn of(namespace: &Namespace) -> Result<Self> {
        let mut programs = BTreeSet::new();
        for link in links(namespace)?.values() {
            collect_ids(link, &["prog_id"], &mut programs);
        }
        let mut maps = BTreeSet::new();
        // Filters of clsact, on kernels without links for TC.
        collect_ids(&attachments(namespace)?, &["id"], &mut programs);
        for pin in files(&layout(namespace)?)? {
            let shown =
                run(Command::new("bpftool").args(["-j", "map", "show", "pinned"]).arg(&pin))?;
            collect_ids(&serde_json::from_str(&shown)?, &["id"], &mut maps);
        }
        Ok(Self { programs, maps })
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty() && self.maps.is_empty()
    }

    /// Those that the kernel still holds, as `prog 7`.
    pub fn alive(&self) -> Vec<String> {
        let programs = self.programs.iter().map(|id| ("prog", id));
        let maps = self.maps.iter().map(|id| ("map", id));
        let held = programs.chain(maps).filter(|(kind, id)| {
            run(Command::new("bpftool").args([kind, "show", "id", &id.to_string()])).is_ok()
        });
        held.map(|(kind, id)| format!("{kind} {id}")).collect()
    }
}

/// Links pinned for a namespace by name, as bpftool shows them. Debian 12's bpftool
/// does not list TCX links by interface.
pub fn links(namespace: &Namespace) -> Result<BTreeMap<String, Value>> {
    let mut links = BTreeMap::new();
    for pin in files(&layout(namespace)?.join("links"))? {
        let shown = run(Command::new("bpftool").args(["-j", "link", "show", "pinned"]).arg(&pin))?;
        let name = pin.file_name().unwrap_or_default().to_string_lossy().into_owned();
        links.insert(name, serde_json::from_str(&shown)?);
    }
    Ok(links)
}

/// Whether a TC program is attached to an interface's ingress.
pub fn watched(namespace: &Namespace, interface: &str) -> Result<bool> {
    let shown = namespace.run(&format!("ip -j link show dev {interface}"))?;
    let shown: Value = serde_json::from_str(&shown)?;
    let index = shown[0]["ifindex"].as_u64().context("an interface's index")?;
    let filters = attachments(namespace)?[0]["tc"].take();
    let filtered = filters.as_array().is_some_and(|filters| {
        filters.iter().any(|tc| tc["ifindex"] == index && tc["kind"] == "clsact/ingress")
    });
    Ok(filtered || links(namespace)?.contains_key(&format!("ingress-{index}")))
}

/// The hook on an interface, named as in `kernel.hook`.
pub fn hook_in_use(namespace: &Namespace, interface: &str) -> Result<Option<&'static str>> {
    let attached = attachments(namespace)?;
    let programs = attached[0]["xdp"].as_array().map_or(&[][..], Vec::as_slice);
    let xdp = programs.iter().find(|program| program["devname"] == interface);
    // TC judges behind XDP too.
    match (watched(namespace, interface)?, xdp.map(|program| program["mode"].as_str())) {
        (false, None) => Ok(None),
        (true, None) => Ok(Some("tc")),
        (true, Some(Some("driver"))) => Ok(Some("xdp-native")),
        (true, Some(Some("generic"))) => Ok(Some("xdp-generic")),
        _ => bail!("a program at ingress without the other: {attached}"),
    }
}

/// XDP programs attached in a namespace, as bpftool tells.
pub fn attachments(namespace: &Namespace) -> Result<Value> {
    let text = namespace.run("bpftool -j net show")?;
    Ok(serde_json::from_str(&text)?)
}

/// Whether nothing at all is attached in a namespace.
pub fn nothing_attached(namespace: &Namespace) -> Result<bool> {
    let mut programs = BTreeSet::new();
    collect_ids(&attachments(namespace)?, &["prog_id", "id"], &mut programs);
    Ok(programs.is_empty())
}

/// A pinned map.
fn map(namespace: &Namespace, name: &str) -> Result<PathBuf> {
    Ok(layout(namespace)?.join(name))
}

/// `PINS/INODE/vLAYOUT`: the one directory of a namespace's maps.
fn layout(namespace: &Namespace) -> Result<PathBuf> {
    let own = pins(namespace).join(namespace.inode()?.to_string());
    let entries = fs::read_dir(&own).with_context(|| own.display().to_string())?;
    let mut paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let found = paths.find(|path| path.file_name().is_some_and(|name| name != "clsact"));
    found.with_context(|| format!("no layout below {}", own.display()))
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let paths: Vec<_> = paths.collect::<Result<_, _>>()?;
    Ok(paths.into_iter().filter(|path| !path.is_dir()).collect())
}

fn collect_ids(value: &Value, keys: &[&str], found: &mut BTreeSet<u64>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect_ids(value, keys, found)),
        Value::Object(fields) => {
            found.extend(keys.iter().filter_map(|key| fields.get(*key)?.as_u64()));
            fields.values().for_each(|value| collect_ids(value, keys, found));
        }
        _ => {}
    }
}

/// The first eight bytes of a value that bpftool prints byte by byte.
fn first_word(value: &Value) -> Option<u64> {
    let mut bytes = [0; 8];
    for (byte, text) in bytes.iter_mut().zip(value.as_array()?) {
        *byte = u8::from_str_radix(text.as_str()?.strip_prefix("0x")?, 16).ok()?;
    }
    Some(u64::from_ne_bytes(bytes))
}
