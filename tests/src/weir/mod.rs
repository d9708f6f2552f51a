//! The daemon under test: installed in a namespace, started, stopped, killed.

mod ask;
mod binary;
mod process;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

pub use self::binary::find as binary;
use self::process::Process;
use crate::{
    kernel, names,
    ns::{self, Namespace},
    wait::{eventually, holds},
};

/// How long a start may take.
const START: Duration = Duration::from_secs(20);
/// How long a stop may take: the drain of 30 s, and a little.
const STOP: Duration = Duration::from_secs(40);

/// An installation of Weir in a namespace. On drop it is killed and detached.
#[derive(Debug)]
pub struct Weir<'a> {
    namespace: &'a Namespace,
    binary: PathBuf,
    directory: TempDir,
    trusted: Option<PathBuf>,
    process: Option<Process>,
}

impl<'a> Weir<'a> {
    /// Installs Weir, without starting it.
    pub fn install(namespace: &'a Namespace) -> Result<Self> {
        Self::install_from(namespace, binary()?)
    }

    /// Installs this build of it.
    pub fn install_from(namespace: &'a Namespace, binary: PathBuf) -> Result<Self> {
        let directory = TempDir::with_prefix(names::prefix())?;
        Ok(Self { namespace, binary, directory, trusted: None, process: None })
    }

    /// Installs, configures (see [`Self::configure`]) and starts it.
    pub fn start(namespace: &'a Namespace, kernel: &str, tables: &str) -> Result<Self> {
        let mut weir = Self::install(namespace)?;
        weir.configure(kernel, tables)?;
        weir.launch()?;
        Ok(weir)
    }

    /// Takes an authority's certificate for those of the system, once it is started.
    pub fn trust(&mut self, authority: &Path) {
        self.trusted = Some(authority.to_owned());
    }

    /// A path in its own directory, which goes with it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where its store is.
    pub fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes its configuration: lines of `[kernel]`, and the tables that follow.
    pub fn configure(&self, kernel: &str, tables: &str) -> Result<()> {
        let text = format!(
            "data_dir = '{}'\nruntime_dir = '{}'\n[kernel]\nbpffs = '{}'\n{kernel}\n{tables}\n",
            self.data_dir().display(),
            self.path("run").display(),
            kernel::pins(self.namespace).display(),
        );
        fs::write(self.config(), text).context("writing the configuration")
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub fn launch(&mut self) -> Result<()> {
        self.process = None;
        self.process = Some(self.spawn_until_ready()?);
        Ok(())
    }

    /// Starts another daemon while this one runs, and waits until that one is ready: it
    /// has taken over. Gives the one before.
    pub fn take_over(&mut self) -> Result<Superseded> {
        let successor = self.spawn_until_ready()?;
        self.process.replace(successor).map(Superseded).context("weir was not running")
    }

    /// Starts another daemon while this one runs, which is to fail; how it ended.
    pub fn take_over_in_vain(&self) -> Result<ExitStatus> {
        let mut process = self.spawn()?;
        let ended = eventually(START, || process.exited());
        ended.with_context(|| format!("the second weir runs on: {}", self.log()))
    }

    /// Starts another daemon while this one runs, and kills it as soon as `condition`
    /// holds, wherever it is by then.
    pub fn take_over_until(&self, condition: impl FnMut() -> bool) -> Result<()> {
        let mut process = self.spawn()?;
        let killed = holds(START, condition);
        process.kill()?;
        ensure!(killed, "no reason to kill it came");
        Ok(())
    }

    fn spawn_until_ready(&self) -> Result<Process> {
        let mut process = self.spawn()?;
        let ready = eventually(START, || {
            if process.has_spoken() { Some(true) } else { process.exited().map(|_| false) }
        });
        match ready {
            Some(true) => Ok(process),
            Some(false) => bail!("weir ended at once: {}", self.log()),
            None => bail!("weir was not ready within {START:?}: {}", self.log()),
        }
    }

    /// Starts the daemon expecting it to end by itself; how it ended.
    pub fn launch_in_vain(&mut self) -> Result<ExitStatus> {
        let mut process = self.spawn()?;
        let ended = eventually(START, || process.exited());
        self.process = Some(process);
        ended.with_context(|| format!("weir runs on: {}", self.log()))
    }

    fn spawn(&self) -> Result<Process> {
        let mut command = self.namespace.bound_command(&self.binary);
        command.arg("run").arg("--config").arg(self.config());
        command.envs(self.trusted.as_ref().map(|authority| ("SSL_CERT_FILE", authority)));
        Process::spawn(command, &self.path("weir.log"))
    }

    /// Asks the daemon to stop and waits for its end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait_for_end(STOP)
    }

    /// Waits until the daemon has ended; how it did.
    pub fn wait_for_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let process = self.process.as_mut().context("weir is not running")?;
        let status = eventually(limit, || process.exited());
        let status = status.with_context(|| format!("weir did not stop: {}", self.log()))?;
        self.process = None;
        Ok(status)
    }

    /// Kills the daemon: what is pinned stays.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("weir is not running")?;
        process.kill()
    }

    /// Whether the daemon has not ended.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.exited().is_none())
    }

    /// The daemon's process id.
    pub fn id(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("weir is not running")?.id())
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.as_ref().context("weir is not running")?.signal(signal)
    }

    /// Bytes of memory that the daemon has resident.
    pub fn resident(&self) -> Result<u64> {
        self.process.as_ref().context("weir is not running")?.resident()
    }

    /// The most bytes of memory that the daemon had resident at a time.
    pub fn peak(&self) -> Result<u64> {
        self.process.as_ref().context("weir is not running")?.peak()
    }

    /// All that the daemon has said on standard error, over all its runs.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("weir.log")).unwrap_or_default()
    }

    /// A subcommand of `weir` for this configuration, in the namespace.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let (name, rest) = arguments.split_first().context("no subcommand")?;
        let mut command = self.namespace.command(&self.binary);
        command.arg(name).arg("--config").arg(self.config()).args(rest);
        Ok(command)
    }

    /// Runs a subcommand to its end; its standard output.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        ns::run(&mut self.command(arguments)?)
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path("weir.toml")
    }

    /// Where its sockets are.
    pub fn runtime_dir(&self) -> PathBuf {
        self.path("run")
    }

    fn socket(&self) -> PathBuf {
        self.runtime_dir().join("weir.sock")
    }
}

/// A daemon whose place another has taken. It is killed on drop.
#[derive(Debug)]
pub struct Superseded(Process);

impl Superseded {
    /// Waits until it has ended; how it did.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        eventually(limit, || self.0.exited()).context("the weir before runs on")
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.0.exited().is_none()
    }

    /// Kills it.
    pub fn kill(&mut self) -> Result<()> {
        self.0.kill()
    }
}

impl Drop for Weir<'_> {
    fn drop(&mut self) {
        // Detaching wants the process gone, which kills itself on drop.
        if self.process.take().is_some() {
            // Captured by the test harness, and shown for tests that fail.
            eprintln!("--- weir's log\n{}---", self.log());
        }
        if !self.config().exists() {
            return;
        }
        if let Err(error) = self.run(&["detach", "--force"]) {
            eprintln!("{error:#}");
        }
    }
}
