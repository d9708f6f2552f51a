//! Secrets, as `weir hash` writes them.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::weir;

/// The hash of a password, or with `--pin` of a PIN.
pub fn hash(arguments: &[&str], secret: &str) -> Result<String> {
    let mut command = Command::new(weir::binary()?);
    command.arg("hash").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("weir hash")?;
    child.stdin.take().context("a pipe")?.write_all(secret.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "weir hash: {output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
