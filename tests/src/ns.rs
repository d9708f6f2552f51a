//! Network namespaces.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::names;

/// Where `ip netns` binds namespaces.
pub(crate) const DIRECTORY: &str = "/run/netns";
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A network namespace of this process, removed on drop.
///
/// It is entered without a mount namespace of its own, unlike by `ip netns exec`:
/// in a private one, what is pinned on bpffs would vanish with the command.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new namespace with `lo` up.
    pub fn create(label: &str) -> Result<Self> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{number}-{label}", names::prefix());
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Its name, for `ip -n`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number: what names the place of pins made in it.
    pub fn inode(&self) -> Result<u64> {
        let path = self.path();
        Ok(fs::metadata(&path).with_context(|| path.display().to_string())?.ino())
    }

    /// A command that will run in it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// A command that will run in it and be killed when the thread that starts it ends,
    /// however that comes.
    pub fn bound_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nsenter"]);
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// Runs a command line (split at blanks) in it; its standard output.
    pub fn run(&self, line: &str) -> Result<String> {
        let mut words = line.split_ascii_whitespace();
        let program = words.next().context("an empty command line")?;
        run(self.command(program).args(words))
    }

    /// Runs `ip` on it.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        let words = arguments.split_ascii_whitespace();
        run(Command::new("ip").args(["-n", &self.name]).args(words))
    }

    /// Sets a kernel parameter of it, as `net/ipv4/ip_forward`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = PathBuf::from("/proc/sys").join(key);
        self.within(|| fs::write(&path, value))?
            .with_context(|| format!("{} = {value}", path.display()))
    }

    /// Runs a function in it, on a thread of its own. Sockets that it returns
    /// stay in the namespace.
    pub fn within<T: Send>(&self, function: impl FnOnce() -> T + Send) -> Result<T> {
        let path = self.path();
        let namespace = File::open(&path).with_context(|| path.display().to_string())?;
        let entered = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .map(|()| function())
            });
            thread.join()
        });
        let result = entered.map_err(|_| anyhow!("a function within {} panicked", self.name))?;
        result.with_context(|| format!("entering {}", path.display()))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(DIRECTORY).join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("ip").args(["netns", "del", &self.name])) {
            eprintln!("{error:#}");
        }
    }
}

/// Joins two namespaces by a veth pair, both ends up.
pub fn link(one: (&Namespace, &str), other: (&Namespace, &str)) -> Result<()> {
    let (near, near_name) = one;
    let (far, far_name) = other;
    near.ip(&format!("link add {near_name} type veth peer name {far_name} netns {}", far.name()))?;
    near.ip(&format!("link set {near_name} up"))?;
    far.ip(&format!("link set {far_name} up"))?;
    Ok(())
}

/// Runs a command to its end; its standard output, or an error with what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}: {stdout}{stderr}", output.status);
    }
    Ok(stdout)
}
