//! `cargo xtask ci`

use std::path::Path;

use anyhow::Result;

use crate::{
    build::{kernel_programs, object_from_here},
    process::{cargo, run, succeeds},
    rooms, test,
};

const DENY_VERSION: &str = "0.19.0";

pub(crate) fn run_all() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    rooms::check()?;
    kernel_programs()?;
    let mut clippy = cargo();
    clippy.args(["clippy", "--all-targets", "--", "--deny=warnings"]);
    run(object_from_here(&mut clippy))?;
    deny()?;
    test::run()
}

/// Licences, bans and sources; advisories where their database can be fetched.
fn deny() -> Result<()> {
    let program = Path::new("target/tools/bin/cargo-deny");
    if !program.is_file() {
        println!("ci: building cargo-deny {DENY_VERSION} into target/tools");
        let mut install = cargo();
        install.args(["install", "--quiet", "--locked", "--root=target/tools"]);
        run(install.arg(format!("cargo-deny@{DENY_VERSION}")))?;
    }
    let deny = || std::process::Command::new(program);
    run(deny().args(["check", "licenses", "bans", "sources"]))?;
    if succeeds(deny().args(["fetch", "db"])) {
        return run(deny().args(["check", "advisories"]));
    }
    println!("ci: advisories are not checked: their database cannot be fetched");
    Ok(())
}
