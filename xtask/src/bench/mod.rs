//! `cargo xtask bench`: figures with their raw data and the machine.

mod load;
mod proxies;
mod relay;
mod routing;
mod stats;
mod verdict;

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    process::{is_root, output},
    setup,
};

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
}

pub(crate) fn run(which: &[Which]) -> Result<()> {
    if !is_root() {
        bail!("kernel programs and namespaces are measured: run this as root");
    }
    setup::for_benches()?;
    for bench in Which::value_variants() {
        if !which.is_empty() && !which.contains(bench) {
            continue;
        }
        match bench {
            Which::Verdict => save("verdict", &verdict::measure()?)?,
            Which::Routing => save("routing", &routing::measure()?)?,
            Which::Relay => save("relay", &relay::measure()?)?,
        }
    }
    Ok(())
}

/// Writes results beside the machine that they are of.
fn save(name: &str, results: &Value) -> Result<()> {
    fs::create_dir_all(RESULTS).context(RESULTS)?;
    let date = output(Command::new("date").args(["--utc", "+%Y-%m-%d"]))?;
    let path = Path::new(RESULTS).join(format!("{date}-{name}.json"));
    let document = json!({ "machine": machine()?, "results": results });
    fs::write(&path, serde_json::to_string_pretty(&document)? + "\n")?;
    println!("written to {}", path.display());
    Ok(())
}

fn machine() -> Result<Value> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name\t: "));
    Ok(json!({
        "kernel": output(Command::new("uname").arg("-r"))?,
        "cpu": model.unwrap_or("unknown"),
        "cores": std::thread::available_parallelism()?.get(),
        "rustc": output(Command::new("rustc").arg("--version"))?,
        "commit": output(Command::new("git").args(["rev-parse", "--short", "HEAD"]))?,
    }))
}
