//! OpenSSH behind a guard: its own sshd, which Weir opens no socket for.

use std::{
    ffi::OsStr, fs, net::IpAddr, os::unix::fs::PermissionsExt, path::Path, process::Command,
};

use anyhow::{Context, Result};
use tempfile::TempDir;
use weir_tests::{
    lab::{self, Lab},
    names,
    ns::run,
    program::Program,
    scenario::{self, GUARDED},
    wait::SOON,
    weir::Weir,
};

/// Where sshd separates its privileges; Debian's service makes it.
const SEPARATION: &str = "/run/sshd";

/// Keys and configuration of a server and its one user.
fn prepare(dir: &Path) -> Result<()> {
    for key in ["host", "user"] {
        run(Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(dir.join(key)))?;
    }
    fs::copy(dir.join("user.pub"), dir.join("authorized"))?;
    // sshd wants a directory that others cannot write, though its parent may be.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    fs::create_dir_all(SEPARATION).context(SEPARATION)?;
    let at = dir.display();
    let config = format!(
        "Port {GUARDED}\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized\nPidFile none\n\
         UsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
    );
    Ok(fs::write(dir.join("sshd_config"), config)?)
}

/// Runs a command by ssh; what it printed.
fn ssh(lab: &Lab, dir: &Path, (from, to): (IpAddr, IpAddr), command: &str) -> Result<String> {
    let mut ssh = lab.clients.command("ssh");
    ssh.args([
        "-F",
        "none",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
    ]);
    ssh.args(["-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=1"]);
    ssh.args(["-b", &from.to_string(), "-p", &GUARDED.to_string(), "-i"]).arg(dir.join("user"));
    run(ssh.args(["-l", "root", &to.to_string(), command]))
}

#[test]
fn a_guarded_sshd_serves_and_its_sessions_are_recorded() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let dir = TempDir::with_prefix(names::prefix())?;
    prepare(dir.path())?;
    let config = dir.path().join("sshd_config");
    let arguments = [OsStr::new("-D"), OsStr::new("-e"), OsStr::new("-f"), config.as_os_str()];
    let log = dir.path().join("sshd.log");
    // By its whole path: for each connection it starts itself again.
    let _sshd = Program::start(&lab.server, "/usr/sbin/sshd", &arguments, GUARDED, &log)?;
    let weir = Weir::start(&lab.server, "", &scenario::guarded(&scenario::blocked()))?;

    for (from, to) in [(lab::DE4, lab::SERVER4), (lab::DE6, lab::SERVER6)] {
        // More than a window's worth, so that it is not all in one flight.
        let printed = ssh(&lab, dir.path(), (from, to), "head -c 1000000 /dev/zero")?;
        assert_eq!(printed.len(), 1_000_000);
        let record = weir.wait_for_event(&format!("source_ip={from}"), SOON)?;
        assert_eq!(record["verdict"], "allowed", "{record}");
        let (up, down) = (&record["bytes_upload"], &record["bytes_download"]);
        assert!(up.as_u64() > Some(1000) && down.as_u64() > Some(1_000_000), "{record}");
        // Both end the connection once the command has.
        let why = record["close_reason"].as_str().context("no close_reason")?;
        assert!(["client_closed", "target_closed"].contains(&why), "{record}");
    }
    for (from, to) in [(lab::BLOCKED4, lab::SERVER4), (lab::BLOCKED6, lab::SERVER6)] {
        let refused = ssh(&lab, dir.path(), (from, to), "true").expect_err("denied");
        assert!(refused.to_string().contains("timed out"), "{refused}");
        let record = weir.wait_for_event(&format!("source_ip={from}"), SOON)?;
        assert_eq!(record["reason"], "ip_restricted", "{record}");
    }
    Ok(())
}
