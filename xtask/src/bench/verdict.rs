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
    println!("{:>9}  {:>9}  net ns a packet", "CIDRs", "countries");
    for case in &cases {
        println!("{:>9}  {:>9}  {}", case["cidrs"], case["countries"], case["net_ns"]);
    }
    Ok(cases.into())
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
