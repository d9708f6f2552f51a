//! `cargo xtask setup`

use std::path::Path;

use anyhow::{Result, bail};

use crate::{
    process::{find, is_root},
    toolchain,
};

/// What the tests run, and which Debian package has it.
const FOR_TESTS: [(&str, &str); 18] = [
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("ss", "iproute2"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("nft", "nftables"),
    ("curl", "curl"),
    ("iperf3", "iperf3"),
    ("bpftool", "bpftool"),
    ("openssl", "openssl"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx"),
    ("socat", "socat"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("dnsmasq", "dnsmasq-base"),
    ("dig", "bind9-dnsutils"),
    ("systemctl", "systemd"),
];
/// What the benchmarks run beside these.
const FOR_BENCHES: [(&str, &str); 3] = [("wrk", "wrk"), ("npm", "npm"), ("tar", "tar")];
/// nginx's stream module, and its package.
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

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

/// What the benchmarks need.
pub(crate) fn for_benches() -> Result<()> {
    for_tests()?;
    packages(&FOR_BENCHES)?;
    if !Path::new(NGINX_STREAM).exists() {
        println!("setup: installing libnginx-mod-stream");
        toolchain::install_packages(&["libnginx-mod-stream"])?;
    }
    Ok(())
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
