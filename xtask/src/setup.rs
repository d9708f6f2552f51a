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
/// What tests on other kernels run beside the tests' programs.
const FOR_GUESTS: [(&str, &str); 3] =
    [("qemu-system-x86_64", "qemu-system-x86"), ("modprobe", "kmod"), ("depmod", "kmod")];
/// nginx's stream module, and its package.
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
/// What tests use of npm, by its folder below `tests` and below `target/tools`, and which
/// tests are skipped without it.
const FROM_NPM: [(&str, &str); 2] = [
    ("oidc-provider", "tests that sign in at oidc-provider"),
    ("axe-core", "the test that pages are accessible"),
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
    packages(&FOR_TESTS)?;
    for (name, tests) in FROM_NPM {
        if let Err(error) = from_npm(name) {
            println!("setup: {tests} will be skipped: {error:#}");
        }
    }
    if let Err(error) = apart::schemathesis() {
        println!("setup: the test of the API's description will be skipped: {error:#}");
    }
    if let Err(error) = apart::crowdsec() {
        println!("setup: the test of the example for CrowdSec will be skipped: {error:#}");
    }
    Ok(())
}

/// Installs a folder's packages by its lock file, where that changed.
fn from_npm(name: &str) -> Result<()> {
    let [from, to] = ["tests", "target/tools"].map(|parent| Path::new(parent).join(name));
    let lock = fs::read(from.join("package-lock.json")).context("package-lock.json")?;
    let installed = to.join("installed-lock.json");
    if fs::read(&installed).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    for file in ["package.json", "package-lock.json"] {
        write_if_changed(&to.join(file), &fs::read(from.join(file)).context(file)?)?;
    }
    println!("setup: installing {name} into {}", to.display());
    let mut npm = Command::new("npm");
    npm.args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]);
    process::run(npm.current_dir(&to))?;
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

/// What tests on other kernels need.
pub(crate) fn for_guests() -> Result<()> {
    packages(&FOR_TESTS)?;
    packages(&FOR_GUESTS)
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
