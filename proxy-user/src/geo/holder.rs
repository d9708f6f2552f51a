//! The database in use, and a look at whether its file changed.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Database, GeoError};

/// What tells one state of a file from another: inode, length, modification time.
type State = (u64, u64, i64, i64);

/// Keeps the last database that could be loaded.
pub struct Holder {
    path: PathBuf,
    state: Option<State>,
    current: Option<Arc<Database>>,
}

impl Holder {
    /// Loads the database at `path`. Where that fails there is none yet, and the
    /// error says why.
    pub fn open(path: &Path) -> (Self, Option<GeoError>) {
        let mut holder = Self { path: path.to_owned(), state: state(path), current: None };
        let error = holder.load().err();
        (holder, error)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database in use.
    pub fn current(&self) -> Option<Arc<Database>> {
        self.current.clone()
    }

    /// Loads the file again where it changed. What is loaded stays when the file
    /// vanishes or breaks, and that is told once.
    pub fn poll(&mut self) -> Option<Result<Arc<Database>, GeoError>> {
        let state = state(&self.path);
        if state == self.state {
            return None;
        }
        self.state = state;
        Some(self.load())
    }

    fn load(&mut self) -> Result<Arc<Database>, GeoError> {
        let database = Arc::new(Database::open(&self.path)?);
        self.current = Some(Arc::clone(&database));
        Ok(database)
    }
}

fn state(path: &Path) -> Option<State> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}
