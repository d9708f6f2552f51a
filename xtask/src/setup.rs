//! `cargo xtask setup`

use anyhow::{Result, bail};

use crate::{
    process::{find, is_root},
    toolchain,
};

/// What the tests run, and which Debian package has it.
const FOR_TESTS: [(&str, &str); 7] = [
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("nsenter", "util-linux"),
    ("nft", "nftables"),
    ("curl", "curl"),
    ("iperf3", "iperf3"),
    ("bpftool", "bpftool"),
];
pub(crate) fn run() -> Result<()> {
    for_build()?;
    for_tests()?;
    println!("setup: everything is there");
    Ok(())
}

/// What building needs.
pub(crate) fn for_build() -> Result<toolchain::Compiler> {
    let compiler = toolchain::compiler()?;
    toolchain::linker()?;
    Ok(compiler)
}

/// What the tests need.
pub(crate) fn for_tests() -> Result<()> {
    packages(&FOR_TESTS)
}

/// Installs what is missing of some programs.
pub(crate) fn packages(programs: &[(&str, &'static str)]) -> Result<()> {
    let mut missing: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !is_root() {
        println!("setup: as root, this would install {names}");
        return Ok(());
    }
    if find("apt-get").is_none() {
        bail!("{names}: missing, and there is no apt-get to install them with");
    }
    println!("setup: installing {names}");
    toolchain::install_packages(&missing)
}
