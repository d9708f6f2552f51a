//! `cargo xtask bench`: figures with their raw data and the machine.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    build::{copy, object_from_here},
    process::{cargo, is_root, output},
    setup, toolchain,
};

const OBJECT: &str = "target/ebpf/weir-bench.o";
const RESULTS: &str = "benches/results";

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Nanoseconds a packet, net of an empty program
    Verdict,
}

pub(crate) fn run(which: &[Which]) -> Result<()> {
    if !is_root() {
        bail!("the kernel programs are measured in the kernel: run this as root");
    }
    let all = which.is_empty();
    if all || which.contains(&Which::Verdict) {
        save("verdict", &verdict()?)?;
    }
    Ok(())
}

fn verdict() -> Result<Vec<Value>> {
    crate::build::kernel_programs()?;
    let compiler = setup::for_build()?;
    copy(&toolchain::compile(compiler, "bench")?, OBJECT)?;
    let mut bench = cargo();
    bench.args(["bench", "--quiet", "--package=proxy-user", "--bench=verdict"]);
    bench.env("WEIR_BENCH_OBJECT", fs::canonicalize(OBJECT)?);
    let lines = output(object_from_here(&mut bench))?;
    lines.lines().map(|line| serde_json::from_str(line).context("the benchmark's output")).collect()
}

/// Writes results beside the machine that they are of, and shows them.
fn save(name: &str, results: &[Value]) -> Result<()> {
    fs::create_dir_all(RESULTS).context(RESULTS)?;
    let date = output(Command::new("date").args(["--utc", "+%Y-%m-%d"]))?;
    let path = Path::new(RESULTS).join(format!("{date}-{name}.json"));
    let document = json!({ "machine": machine()?, "results": results });
    fs::write(&path, serde_json::to_string_pretty(&document)? + "\n")?;
    for result in results {
        println!("{result}");
    }
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
