//! `cargo xtask bench`: figures with their raw data and the machine.

mod http;
mod l4;
mod large;
mod load;
mod pages;
mod proxies;
mod relay;
mod routing;
mod stats;
mod store;
mod udp;
mod verdict;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    process::{is_root, output},
    setup,
};

pub(crate) use self::{l4::Hold, store::fill};

const RESULTS: &str = "benches/results";

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Nanoseconds a packet, net of an empty program
    Verdict,
    /// What Weir costs the traffic that a host routes
    Routing,
    /// The relay beside HAProxy and nginx
    Relay,
    /// Every way of Weir's from client to target beside routing, nftables, HAProxy and nginx
    L4,
    /// Datagrams through the relay beside nginx and plain routing
    Udp,
    /// Memory for bodies of gigabytes over HTTP, and for connections that wait
    Large,
    /// HTTP over TLS beside nginx, HAProxy and Caddy
    Http,
    /// The store at ten million records, beside `SQLite`
    Store,
    /// The dashboard's pages at ten million records, in a browser
    Pages,
    /// Where the time of a request over TLS goes
    Profile,
    /// What a request over TLS takes of other builds of Weir (`--beside`), and of this one
    Compare,
}

pub(crate) fn run(which: &[Which], beside: &[PathBuf]) -> Result<()> {
    if !is_root() {
        bail!("kernel programs and namespaces are measured: run this as root");
    }
    if which.contains(&Which::Compare) == beside.is_empty() {
        bail!("`compare` needs other builds (--beside BINARY), and nothing else takes any");
    }
    setup::for_benches()?;
    for bench in Which::value_variants() {
        let is_meant =
            if which.is_empty() { *bench != Which::Compare } else { which.contains(bench) };
        if !is_meant {
            continue;
        }
        match bench {
            Which::Verdict => record("verdict", verdict::measure)?,
            Which::Routing => record("routing", routing::measure)?,
            Which::Relay => record("relay", relay::measure)?,
            Which::L4 => record("l4", l4::measure)?,
            Which::Udp => record("udp", udp::measure)?,
            Which::Large => record("large", large::measure)?,
            Which::Http => record("http", http::measure)?,
            Which::Store => record("store", store::measure)?,
            Which::Pages => record("pages", pages::measure)?,
            Which::Profile => record("profile", http::profile)?,
            Which::Compare => record("compare", || http::compare(beside))?,
        }
    }
    Ok(())
}

/// Measures, and writes the results beside the machine and the sources that they are of.
fn record(name: &str, measure: impl FnOnce() -> Result<Value>) -> Result<()> {
    fs::create_dir_all(RESULTS).context(RESULTS)?;
    let began = output(Command::new("date").args(["--utc", "+%Y-%m-%d-%H%M%S"]))?;
    let path = Path::new(RESULTS).join(format!("{began}-{name}.json"));
    // Before measuring: what fails here would fail after half an hour, and sources may
    // change meanwhile.
    let machine = machine()?;
    let document = json!({ "machine": machine, "results": measure()? });
    fs::write(&path, serde_json::to_string_pretty(&document)? + "\n")?;
    println!("written to {}", path.display());
    Ok(())
}

/// Says plainly whether a goal is met; the same for the results.
fn goal(text: &str, met: bool) -> Value {
    println!("  goal: {text}: {}", if met { "met" } else { "MISSED" });
    json!({ "goal": text, "met": met })
}

fn machine() -> Result<Value> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name\t: "));
    Ok(json!({
        "kernel": output(Command::new("uname").arg("-r"))?,
        "cpu": model.unwrap_or("unknown"),
        "cores": std::thread::available_parallelism()?.get(),
        "rustc": output(Command::new("rustc").arg("--version"))?,
        "commit": output(Command::new("git").args(["describe", "--always", "--dirty"]))?,
    }))
}
