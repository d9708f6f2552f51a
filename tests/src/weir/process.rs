//! A running daemon.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// A child process whose first line on standard output means that it is ready.
/// It is killed on drop.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    spoken: Arc<AtomicBool>,
}

impl Process {
    /// Starts a command; its standard error is appended to `log`.
    pub(super) fn spawn(mut command: Command, log: &Path) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let spoken = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&spoken);
        thread::spawn(move || {
            // To the end: a pipe that nobody reads would block the daemon.
            for _ in BufReader::new(stdout).lines().map_while(Result::ok) {
                flag.store(true, Ordering::Release);
            }
        });
        Ok(Self { child, spoken })
    }

    pub(super) fn has_spoken(&self) -> bool {
        self.spoken.load(Ordering::Acquire)
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(super) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Bytes of memory that are resident.
    pub(super) fn resident(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most bytes of memory that were resident at a time.
    pub(super) fn peak(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    /// A line of `proc_pid_status(5)`, in bytes.
    fn memory(&self, name: &'static str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB"));
        Ok(kibibytes.context(name)?.trim().parse::<u64>()? << 10)
    }

    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.kill();
    }
}
