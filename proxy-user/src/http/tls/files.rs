//! Files that hold keys: whole or not at all, and nobody else's to read.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use super::TlsError;

/// No certificate chain and no key comes near this.
const MOST_BYTES: u64 = 1 << 20;

/// Reads a file of reasonable size.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(TlsError::file(path))?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(TlsError::file(path))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(TlsError::content(path, format!("has more than {MOST_BYTES} bytes")));
    }
    Ok(bytes)
}

/// Puts a file in place, in a directory that is made where there is none.
pub(super) fn put(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    put_beside(path, bytes).map_err(TlsError::file(path))
}

/// Writes beside the file and renames, so that a reader, or a crash, finds the old or the
/// new.
fn put_beside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    // What a crash left may have another mode.
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(directory)?.sync_all()
}
