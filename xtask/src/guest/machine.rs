//! The machine: qemu's, with this host's files and without a network.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use super::{RESULT, initrd, kernels::Unpacked};
use crate::tally::{Counts, count};

/// After which a guest does not end by itself any more.
const DEADLINE: &str = "90m";

/// Boots a kernel, which runs the plan beside it, and shows what the guest says.
pub(super) fn run(kernel: &Unpacked) -> Result<Counts> {
    let xtask = env::current_exe().context("xtask's own path")?;
    let (xtask, directory) = (xtask.display().to_string(), kernel.directory.display().to_string());
    let initrd = initrd::make(kernel, &[("xtask", &xtask), ("kernel", &directory)])?;
    let mut machine = Command::new("timeout");
    machine.args(["--foreground", DEADLINE, "qemu-system-x86_64"]).args(accelerator());
    machine.args(["-smp", "2", "-m", "4G", "-nodefaults", "-no-reboot"]);
    machine.args(["-display", "none", "-serial", "stdio"]);
    let share = "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap";
    machine.arg("-virtfs").arg(share);
    machine.arg("-kernel").arg(kernel.image()).arg("-initrd").arg(initrd);
    machine.args(["-append", "console=ttyS0 quiet panic=-1"]);
    machine.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = machine.spawn().with_context(|| format!("{machine:?}"))?;
    let console = BufReader::new(child.stdout.take().context("a pipe")?);
    let mut counts = None;
    for line in console.split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        if let Some(result) = line.strip_prefix(RESULT) {
            count(result, counts.insert(Counts::default()));
        } else {
            println!("  {line}");
        }
    }
    let status = child.wait()?;
    counts.with_context(|| format!("the guest ended before its tests did ({status})"))
}

/// The processor's own virtualisation where there is one, else emulation.
fn accelerator() -> [&'static str; 4] {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let can = cpu.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    if can && Path::new("/dev/kvm").exists() {
        return ["-accel", "kvm", "-cpu", "host"];
    }
    println!("setup: without KVM the guest is emulated, which takes its time");
    ["-accel", "tcg,thread=multi", "-cpu", "max"]
}
