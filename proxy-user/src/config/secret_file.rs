//! Files that hold secrets.

use std::{fs, io::Read, os::unix::fs::PermissionsExt, path::Path};

/// More than any secret or certificate chain takes, bytes.
const MOST: u64 = 1 << 20;
/// Writable by the group or by everyone.
const OTHERS_WRITE: u32 = 0o022;

/// The content of a file that only its owner can write.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read_secret(path: &Path) -> Result<String, String> {
    read(path, |mode| {
        if mode & OTHERS_WRITE == 0 {
            return Ok(());
        }
        Err(format!("{}: others can write this secret (mode {mode:03o})", path.display()))
    })
}

/// The content of a file that may be anyone's to write.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    read(path, |_| Ok(()))
}

fn read(path: &Path, judge: impl Fn(u32) -> Result<(), String>) -> Result<String, String> {
    let shown = path.display();
    let unreadable = |error: &dyn std::fmt::Display| format!("{shown}: cannot be read: {error}");
    // Before it is opened: a FIFO would be waited for.
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err(format!("{shown}: is no file"));
    }
    let file = fs::File::open(path).map_err(|error| unreadable(&error))?;
    judge(metadata.permissions().mode() & 0o777)?;
    let mut text = String::new();
    let read = file.take(MOST + 1).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    if read as u64 > MOST {
        return Err(format!("{shown}: is larger than {MOST} bytes"));
    }
    Ok(text)
}
