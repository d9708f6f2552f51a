//! A small file of redb beside the records.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::{StoreError, error::set_aside, records::private};

/// Memory for its pages.
const CACHE: usize = 1 << 20;

/// The file, opened when it is asked for: again after every failure, since redb
/// refuses a file after an I/O error until then.
pub(super) struct Book {
    path: PathBuf,
    open: Mutex<State>,
    damaged: Mutex<Vec<StoreError>>,
}

/// The file, as the book holds it.
#[derive(Default)]
enum State {
    /// To be opened with the next use.
    #[default]
    Unopened,
    Open(Database),
    /// Another process's from now on.
    Closed,
}

impl Book {
    /// The book of that name below `data_dir`; it is made with its first use.
    pub(super) fn new(data_dir: &Path, name: &str) -> Self {
        let path = data_dir.join(name);
        Self { path, open: Mutex::default(), damaged: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads as of now.
    pub(super) fn read<T>(
        &self,
        run: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.with(|database| run(&database.begin_read()?))
    }

    /// Writes durably all that `run` does, or nothing.
    pub(super) fn write(
        &self,
        run: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        self.with(|database| {
            let write = database.begin_write()?;
            run(&write)?;
            Ok(write.commit()?)
        })
    }

    /// Damage that was found since it was last asked; the file is set aside.
    pub(super) fn damaged(&self) -> Vec<StoreError> {
        std::mem::take(&mut self.damaged.lock())
    }

    /// Lets go of the file for good, so that another process can open it.
    pub(super) fn close(&self) {
        *self.open.lock() = State::Closed;
    }

    fn with<T>(
        &self,
        run: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let mut open = self.open.lock();
        let database = match std::mem::take(&mut *open) {
            State::Open(database) => database,
            State::Unopened => self.open()?,
            State::Closed => {
                *open = State::Closed;
                return Err(StoreError::HandedOver(self.path.clone()));
            }
        };
        match StoreError::guard(&self.path, || run(&database)) {
            Ok(done) => {
                *open = State::Open(database);
                Ok(done)
            }
            Err(error) => {
                drop(database);
                self.note_damage(error).and_then(Err)
            }
        }
    }

    fn open(&self) -> Result<Database, StoreError> {
        if let Some(dir) = self.path.parent() {
            private(dir)?;
        }
        let open = || {
            StoreError::guard(&self.path, || {
                Ok(Database::builder().set_cache_size(CACHE).create(&self.path)?)
            })
        };
        match open() {
            Err(error @ StoreError::Damaged { .. }) => {
                self.note_damage(error)?;
                open()
            }
            other => other,
        }
    }

    /// Sets a damaged file aside; a new one is made with the next use. Gives the error
    /// back.
    fn note_damage(&self, error: StoreError) -> Result<StoreError, StoreError> {
        if let StoreError::Damaged { path, why } = &error {
            set_aside(path)?;
            let told = StoreError::Damaged { path: path.clone(), why: why.clone() };
            self.damaged.lock().push(told);
        }
        Ok(error)
    }
}
