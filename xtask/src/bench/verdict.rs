//! The verdict's cost: runs proxy-user's benchmark in the kernel.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    build::{Options, copy, kernel_programs, object_from_here},
    process::{cargo, output, run},
    setup, toolchain,
};

const OBJECT: &str = "target/ebpf/weir-bench.o";
/// A country database in the public domain, made of the registries' own data.
const DATABASE: &str = "@ip-location-db/geo-whois-asn-country-mmdb@2.3.2026061719";
const DATABASE_FILE: &str = "package/geo-whois-asn-country.mmdb";

pub(super) fn measure() -> Result<Value> {
    kernel_programs(Options::default())?;
    let compiler = setup::for_build()?;
    copy(&toolchain::compile(compiler, "bench")?, OBJECT)?;
    let mut bench = cargo();
    bench.args(["bench", "--quiet", "--package=proxy-user", "--bench=verdict"]);
    bench.env("WEIR_BENCH_OBJECT", fs::canonicalize(OBJECT)?);
    bench.env("WEIR_BENCH_DATABASE", database()?.canonicalize()?);
    let lines = output(object_from_here(&mut bench))?;
    let cases: Result<Vec<Value>> = lines
        .lines()
        .map(|line| serde_json::from_str(line).context("the benchmark's output"))
        .collect();
    let cases = cases?;
    println!(
        "{:<12} {:<5} {:>4} {:>9} {:>9} {:>8} {:>8} {:>7} {:>8}",
        "packet", "hook", "IPv", "CIDRs", "countries", "warm, ns", "cold, ns", "MiB", "load, ms"
    );
    cases.iter().for_each(show);
    Ok(cases.into())
}

/// One figure, net of the empty program.
fn show(case: &Value) {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let text = |value: &Value| value.as_u64().map_or_else(String::new, |n| n.to_string());
    let load = case["compile_ms"].as_u64().map(|ms| ms + number(&case["install_ms"]));
    println!(
        "{:<12} {:<5} {:>4} {:>9} {:>9} {:>8} {:>8} {:>7} {:>8}",
        case["figure"].as_str().unwrap_or_default(),
        case["hook"].as_str().unwrap_or_default(),
        text(&case["family"]),
        text(&case["cidrs"]),
        text(&case["countries"]),
        text(&case["warm"]["net_ns"]),
        text(&case["cold"]["net_ns"]),
        case["bytes"].as_u64().map_or_else(String::new, |bytes| (bytes >> 20).to_string()),
        load.map_or_else(String::new, |ms| ms.to_string()),
    );
}

/// Fetches the database once.
pub(super) fn database() -> Result<PathBuf> {
    let dir = PathBuf::from("target/tools/geo");
    let file = dir.join(DATABASE_FILE);
    if !file.is_file() {
        println!("bench: fetching {DATABASE}");
        fs::create_dir_all(&dir)?;
        let mut pack = Command::new("npm");
        let archive = output(pack.args(["pack", "--silent", DATABASE]).current_dir(&dir))?;
        run(Command::new("tar").args(["-xzf", archive.as_str()]).current_dir(&dir))?;
    }
    Ok(file)
}
