//! `cargo xtask setup`

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    apart,
    process::{self, find, is_root, write_if_changed},
    toolchain,
};

/// What the tests run, and which Debian package has it.
const FOR_TESTS: [(&str, &str); 28] = [
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("ss", "iproute2"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("nft", "nftables"),
    ("curl", "curl"),
    ("h2load", "nghttp2-client"),
    ("nghttpd", "nghttp2-server"),
    ("iperf3", "iperf3"),
    ("bpftool", "bpftool"),
    ("openssl", "openssl"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx"),
    ("socat", "socat"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("dnsmasq", "dnsmasq-base"),
    ("pebble", "pebble"),
    ("dig", "bind9-dnsutils"),
    ("systemctl", "systemd"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("rsyslogd", "rsyslog"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("fail2ban-server", "fail2ban"),
];
/// What the benchmarks run beside these.
const FOR_BENCHES: [(&str, &str); 5] = [
    ("wrk", "wrk"),
    ("tar", "tar"),
    ("h2load", "nghttp2-client"),
    ("caddy", "caddy"),
    ("perf", "linux-perf"),
];
/// What the scans run beside the tests' programs.
const FOR_SCANS: [(&str, &str); 2] = [("testssl", "testssl.sh"), ("slowhttptest", "slowhttptest")];
/// nginx's stream module, and its package.
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
/// What an OpenID provider for tests is made of, and where it is installed.
const OIDC_PROVIDER: [&str; 2] = ["tests/oidc-provider", "target/tools/oidc-provider"];

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
    packages(&FOR_TESTS)?;
    if let Err(error) = oidc_provider() {
        println!("setup: tests that sign in at oidc-provider will be skipped: {error:#}");
    }
    if let Err(error) = apart::schemathesis() {
        println!("setup: the test of the API's description will be skipped: {error:#}");
    }
    if let Err(error) = apart::crowdsec() {
        println!("setup: the test of the example for CrowdSec will be skipped: {error:#}");
    }
    Ok(())
}

/// Installs oidc-provider by its lock file, where that changed.
fn oidc_provider() -> Result<()> {
    let [from, to] = OIDC_PROVIDER.map(Path::new);
    let lock = fs::read(from.join("package-lock.json")).context("package-lock.json")?;
    let installed = to.join("installed-lock.json");
    if fs::read(&installed).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    for name in ["package.json", "package-lock.json"] {
        write_if_changed(&to.join(name), &fs::read(from.join(name)).context(name)?)?;
    }
    println!("setup: installing oidc-provider into {}", to.display());
    let mut npm = Command::new("npm");
    npm.args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]);
    process::run(npm.current_dir(to))?;
    // Last, so that what was interrupted is done again.
    write_if_changed(&installed, &lock)
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

/// What the scans need.
pub(crate) fn for_scans() -> Result<()> {
    for_tests()?;
    packages(&FOR_SCANS)
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
