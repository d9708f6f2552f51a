//! What tests run and what stays apart from the host: below `target/tools`.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{process, toolchain};

/// A version whose findings are known; another may look for more.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const SCHEMATHESIS_DIR: &str = "target/tools/schemathesis";
const CROWDSEC_DIR: &str = "target/tools/crowdsec";
/// Where its package is downloaded to.
const CROWDSEC_PACKAGE: &str = "target/tools/crowdsec-package";

/// Installs schemathesis into an environment of its own.
pub(crate) fn schemathesis() -> Result<()> {
    let installed = Path::new(SCHEMATHESIS_DIR).join("installed");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == SCHEMATHESIS) {
        return Ok(());
    }
    println!("setup: installing {SCHEMATHESIS} into {SCHEMATHESIS_DIR}");
    if !process::succeeds(Command::new("python3").args(["-c", "import ensurepip"])) {
        toolchain::install_packages(&["python3-venv"])?;
    }
    process::run(Command::new("python3").args(["-m", "venv", "--clear", SCHEMATHESIS_DIR]))?;
    let pip = Path::new(SCHEMATHESIS_DIR).join("bin/pip");
    let quiet = ["install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS];
    process::run(Command::new(pip).args(quiet))?;
    // Last, so that what was interrupted is done again.
    process::write_if_changed(&installed, SCHEMATHESIS.as_bytes())
}

/// Unpacks Debian's `CrowdSec` without installing it: an installation would register the host
/// with `CrowdSec`'s central API, and fails where that is out of reach.
pub(crate) fn crowdsec() -> Result<()> {
    if Path::new(CROWDSEC_DIR).join("usr/bin/crowdsec").exists() {
        return Ok(());
    }
    println!("setup: unpacking crowdsec into {CROWDSEC_DIR}");
    fs::create_dir_all(CROWDSEC_PACKAGE).context(CROWDSEC_PACKAGE)?;
    let mut download = Command::new("apt-get");
    process::run(
        download.args(["download", "--quiet=2", "crowdsec"]).current_dir(CROWDSEC_PACKAGE),
    )?;
    let mut packages = fs::read_dir(CROWDSEC_PACKAGE)?.filter_map(Result::ok);
    let package = packages.find(|entry| entry.path().extension().is_some_and(|e| e == "deb"));
    let package = package.context("there is no package")?.path();
    // Beside, so that what was interrupted is done again.
    let beside = format!("{CROWDSEC_DIR}.new");
    process::run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&beside))?;
    ensure!(Path::new(&beside).join("usr/bin/crowdsec").exists(), "the package has no crowdsec");
    fs::rename(&beside, CROWDSEC_DIR).context(CROWDSEC_DIR)
}
