//! `cargo xtask ci`

use std::{path::Path, process::ExitCode};

use anyhow::Result;

use crate::{
    build::object_from_here,
    process::{cargo, run, succeeds},
    rooms, test,
};

const DENY_VERSION: &str = "0.19.0";

/// A check of the sources.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// What of cargo's it needs beside cargo.
    pub(crate) component: Option<&'static str>,
    pub(crate) run: fn() -> Result<()>,
}

/// What the tests begin with.
pub(crate) const CHECKS: [Check; 3] = [
    Check { name: "format", component: Some("rustfmt"), run: format },
    Check { name: "structure", component: None, run: rooms::check },
    Check { name: "lints", component: Some("clippy"), run: lints },
];

/// The tests, whose first rung are [`CHECKS`], and before them what needs a tool of its
/// own built.
pub(crate) fn run_all() -> Result<ExitCode> {
    deny()?;
    test::run()
}

fn format() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))
}

fn lints() -> Result<()> {
    let all: &[&str] = &["--all-targets"];
    let log: &[&str] = &["--package=proxy-user", "--features=log", "--lib", "--test=kernel"];
    for targets in [all, log] {
        let mut clippy = cargo();
        clippy.args(["clippy", "--quiet"]).args(targets).args(["--", "--deny=warnings"]);
        run(object_from_here(&mut clippy))?;
    }
    Ok(())
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
