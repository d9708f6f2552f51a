//! What commands say. `println!` panics where nobody reads to the end, as in
//! `weir status | head -1`.

use std::{
    fmt::Display,
    io::{self, Write},
};

use anyhow::{Context, Result};

/// Whoever read the output is gone, and has what it wanted.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output")]
pub(super) struct Unread;

/// A line on stdout.
pub(super) fn say(line: impl Display) -> Result<()> {
    write(format!("{line}\n").as_bytes())
}

/// Bytes on stdout, at once.
pub(super) fn write(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Unread.into()),
        written => written.context("stdout"),
    }
}

/// A line on stderr. There is nowhere to tell that it cannot be told.
pub(super) fn tell(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
