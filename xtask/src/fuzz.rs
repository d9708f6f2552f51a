//! `cargo xtask fuzz`

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{
    build::{self, object_from_here},
    process::{self, cargo, output},
};

const VERSION: &str = "0.13.2";
const TOOLS: &str = "target/tools";

/// What is fuzzed, and for how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A target of fuzz/targets; each in turn where none is named
    target: Vec<String>,
    /// For each target
    #[arg(long, default_value_t = 600)]
    seconds: u32,
}

/// Fuzzes, beginning with what `fuzz/corpus` keeps. What is found on the way stays in
/// `target/fuzz-corpus`, what breaks a target in `fuzz/artifacts`.
pub(crate) fn run(options: &Options) -> Result<()> {
    build::kernel_programs(build::Options::default())?;
    install()?;
    let targets = match options.target.as_slice() {
        [] => all()?,
        named => named.to_vec(),
    };
    for target in &targets {
        let found = format!("target/fuzz-corpus/{target}");
        fs::create_dir_all(&found).with_context(|| found.clone())?;
        let seeds = format!("fuzz/corpus/{target}");
        let mut fuzz = nightly();
        fuzz.args(["run", "--target-dir=target/fuzz", target, &found, &seeds, "--"]);
        fuzz.arg(format!("-max_total_time={}", options.seconds)).arg("-print_final_stats=1");
        process::run(object_from_here(&mut fuzz))?;
    }
    println!("fuzz: nothing was found in {}", targets.join(", "));
    Ok(())
}

/// Every target.
fn all() -> Result<Vec<String>> {
    let listed = output(nightly().arg("list"))?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// cargo-fuzz under rustup's nightly: libFuzzer's instrumentation is unstable.
fn nightly() -> Command {
    let mut command = Command::new("rustup");
    let subcommand = Path::new(TOOLS).join("bin/cargo-fuzz");
    // Those of the cargo that runs this.
    for variable in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(variable);
    }
    command.args(["run", "nightly"]).arg(subcommand).arg("fuzz");
    command
}

fn install() -> Result<()> {
    if Path::new(TOOLS).join("bin/cargo-fuzz").is_file() {
        return Ok(());
    }
    println!("fuzz: building cargo-fuzz {VERSION} into {TOOLS}");
    let mut install = cargo();
    install.args(["install", "--quiet", "--locked"]).arg(format!("--root={TOOLS}"));
    process::run(install.arg(format!("cargo-fuzz@{VERSION}")))
}
