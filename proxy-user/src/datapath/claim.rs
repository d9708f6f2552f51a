//! The pins of a network namespace are one daemon's at a time.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustix::{
    fs::{FlockOperation, flock, major, minor},
    io::Errno,
};

use super::{DatapathError, pins::at};

/// The right to use and remove the pins, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Claim {
    locked: File,
}

/// A process that this one is starting has the file, too, until it becomes another program:
/// merely to close it would leave the claim with that one for a moment.
impl Drop for Claim {
    fn drop(&mut self) {
        if let Err(error) = flock(&self.locked, FlockOperation::Unlock) {
            tracing::warn!(%error, "the claim to the pins ends a moment late");
        }
    }
}

impl Claim {
    /// Claims the pins in a directory.
    pub(super) fn of(directory: &Path) -> Result<Self, DatapathError> {
        let file = File::open(directory).map_err(at(directory))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { locked: file }),
            Err(Errno::WOULDBLOCK) => Err(DatapathError::InUse {
                path: directory.to_owned(),
                holder: holder(&file).unwrap_or_else(|| "another process".to_owned()),
            }),
            Err(error) => Err(at(directory)(error.into())),
        }
    }
}

/// Which process locks a file, from `/proc/locks` (proc(5)).
fn holder(file: &File) -> Option<String> {
    let metadata = file.metadata().ok()?;
    let (device, inode) = (metadata.dev(), metadata.ino());
    let place = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let fields = locks.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let mut held = fields.filter(|fields| fields.get(5) == Some(&place.as_str()));
    let process = *held.find(|fields| fields.get(1) == Some(&"FLOCK"))?.get(4)?;
    let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    Some(format!("process {process} ({})", name.trim_end()))
}
