//! An echo in a process of its own: it has its own files, and can be killed.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStdin, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::ns::Namespace;

/// A running echo; it ends in order on drop.
#[derive(Debug)]
pub struct Echo {
    process: Child,
    // It ends with this.
    input: Option<ChildStdin>,
}

impl Echo {
    /// Starts `program`, which is this package's `echo`, in a namespace.
    pub fn start(program: &str, namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let mut command = namespace.bound_command(program);
        command.arg(address.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("{command:?}"))?;
        let input = process.stdin.take();
        let mut output = BufReader::new(process.stdout.take().context("a pipe")?);
        ensure!(output.read_line(&mut String::new())? > 0, "the echo ended at once");
        Ok(Self { process, input })
    }

    /// Kills it: whoever is connected is reset. When this returns, its port refuses.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}
