//! JSON lines: appended to a file, or on stdout.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::Outlet;
use crate::{record::Record, store::StoreError};

pub(super) struct Jsonl {
    /// `None`: stdout.
    path: Option<PathBuf>,
    file: Option<File>,
}

impl Jsonl {
    pub(super) fn to_file(path: &Path) -> Self {
        Self { path: Some(path.to_owned()), file: None }
    }

    pub(super) const fn to_stdout() -> Self {
        Self { path: None, file: None }
    }
}

impl Outlet for Jsonl {
    fn write(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let mut lines = Vec::new();
        for record in records {
            // A record is plain data: JSON has nothing to refuse.
            let _ = serde_json::to_writer(&mut lines, record);
            lines.push(b'\n');
        }
        let Some(path) = &self.path else {
            let mut out = io::stdout().lock();
            let written = out.write_all(&lines).and_then(|()| out.flush());
            return written.map_err(StoreError::io(Path::new("stdout")));
        };
        if self.file.is_none() {
            self.file = Some(open(path).map_err(StoreError::io(path))?);
        }
        match &mut self.file {
            Some(file) if !lines.is_empty() => append(file, &lines).map_err(StoreError::io(path)),
            _ => Ok(()),
        }
    }

    fn reopen(&mut self) {
        self.file = None;
    }
}

/// Lines that a power cut does not take, where the file is one that lasts: the
/// position moves past them next.
fn append(file: &mut File, lines: &[u8]) -> io::Result<()> {
    file.write_all(lines)?;
    if file.metadata()?.is_file() { file.sync_data() } else { Ok(()) }
}

/// Opens the file to append to. A line that a crash or a full disk cut off is ended,
/// so that it does not spoil the next one: its record is written again.
fn open(path: &Path) -> io::Result<File> {
    let mut file = File::options().create(true).append(true).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.len() > 0 {
        let mut last = [0];
        File::open(path)?.read_exact_at(&mut last, metadata.len() - 1)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}
