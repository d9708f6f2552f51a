//! An open file of records.

use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, Key, ReadOnlyDatabase, ReadOnlyTable, ReadTransaction, ReadableDatabase,
    TableDefinition, TableError, Value, WriteTransaction,
};
use uuid::Uuid;

use super::{StoreError, block::Head, overlay::Overlay, pieces, tail};

/// What the partition as a whole has: see the keys.
pub(super) const META: TableDefinition<'_, &str, i64> = TableDefinition::new("meta");
/// Epoch, service, reason, CPU to attempts accounted for.
pub(super) const ACCOUNTED: TableDefinition<'_, (u64, u16, u8, u32), u64> =
    TableDefinition::new("accounted");
/// Flows whose records are committed and whose kernel entries may still be there: a
/// row's number, which rises, to its flows.
pub(super) const NOTED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("noted");
/// The same in files of format 1: a row for each flow.
pub(super) const NOTED_1: TableDefinition<'_, &[u8], ()> = TableDefinition::new("flows");
/// The highest id that was committed, also where records are not kept: what is up to
/// it was written, and is not counted again.
pub(super) const COMMITTED: TableDefinition<'_, (), u128> = TableDefinition::new("committed");

/// Key of [`META`]: the format of the file.
pub(super) const META_FORMAT: &str = "format";
/// What this Weir writes. Before it, records were rows: [`super::migrate`].
pub(super) const FORMAT: i64 = 3;

/// Memory for pages of the file that is written. redb's own choice is 1 GiB a file.
const WRITER_CACHE: usize = 64 << 20;
/// Memory for pages of a file that is only read.
const READER_CACHE: usize = 1 << 20;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading and writing; what a kill left half done is repaired.
    Write,
    /// Reading, where nothing has to be repaired.
    Read,
    /// Reading, whatever a kill left, without a change to the file.
    Overlay,
}

enum Handle {
    Writable(Database),
    ReadOnly(ReadOnlyDatabase),
    Overlay(Database),
}

/// An open file. It stays readable until the last holder drops it, also when
/// retention has unlinked it.
pub(super) struct RecordsFile {
    pub(super) path: PathBuf,
    handle: Handle,
}

impl RecordsFile {
    /// Makes a new one.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let database = StoreError::guard(path, || Ok(builder(WRITER_CACHE).create(path)?))?;
        Ok(Self { path: path.to_owned(), handle: Handle::Writable(database) })
    }

    /// Opens an existing one.
    pub(super) fn open(path: &Path, access: Access) -> Result<Self, StoreError> {
        if access == Access::Write {
            // Opening to write changes the file, and a newer Weir's is not ours to
            // change. What can be repaired can be so only to write.
            match Self::open(path, Access::Read) {
                Ok(_) | Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let handle = StoreError::guard(path, || {
            Ok(match access {
                Access::Write => Handle::Writable(builder(WRITER_CACHE).open(path)?),
                Access::Read => Handle::ReadOnly(builder(READER_CACHE).open_read_only(path)?),
                Access::Overlay => Handle::Overlay(overlay(path)?),
            })
        })?;
        let file = Self { path: path.to_owned(), handle };
        match file.format()? {
            Some(format) if format > FORMAT => Err(StoreError::Newer {
                path: path.to_owned(),
                found: u64::try_from(format).unwrap_or(0),
                known: u64::try_from(FORMAT).unwrap_or(0),
            }),
            _ => Ok(file),
        }
    }

    /// Reads as of now.
    pub(super) fn read<T>(
        &self,
        run: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        StoreError::guard(&self.path, || {
            let read = match &self.handle {
                Handle::Writable(database) | Handle::Overlay(database) => database.begin_read()?,
                Handle::ReadOnly(database) => database.begin_read()?,
            };
            run(&read)
        })
    }

    /// Writes durably all that `run` does, or nothing.
    pub(super) fn write(
        &self,
        run: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        StoreError::guard(&self.path, || {
            let Handle::Writable(database) = &self.handle else {
                return Err(redb::Error::DatabaseClosed);
            };
            let mut write = database.begin_write()?;
            write.set_quick_repair(true);
            run(&write)?;
            Ok(write.commit()?)
        })
    }

    /// `None`: it was begun, and nothing was ever committed to it.
    pub(super) fn format(&self) -> Result<Option<i64>, StoreError> {
        self.read(|read| meta(read, META_FORMAT))
    }

    /// Its blocks' numbers and heads, in order.
    pub(super) fn heads(&self) -> Result<Vec<(u64, Head)>, StoreError> {
        self.read(pieces::heads)
    }

    /// The rows of its tail, in the order of ids.
    pub(super) fn each_row(&self, take: impl FnMut(Uuid, &[u8])) -> Result<(), StoreError> {
        self.read(|read| tail::each(read, take))
    }

    /// The highest id that was committed.
    pub(super) fn last_id(&self) -> Result<Option<Uuid>, StoreError> {
        self.read(|read| {
            let Some(table) = table(read, COMMITTED)? else { return Ok(None) };
            Ok(table.get(())?.map(|id| Uuid::from_u128(id.value())))
        })
    }

    /// Gives room that is not used back to the file system. Only for a file that nobody else
    /// holds.
    pub(super) fn shrink(&mut self) -> Result<(), StoreError> {
        let Handle::Writable(database) = &mut self.handle else { return Ok(()) };
        StoreError::guard(&self.path, || {
            while database.compact()? {}
            Ok(())
        })
    }

    /// Compares every page with its checksum. Only for a file that nobody else holds.
    pub(super) fn check(&mut self) -> Result<(), StoreError> {
        let (Handle::Overlay(database) | Handle::Writable(database)) = &mut self.handle else {
            return Ok(());
        };
        StoreError::guard(&self.path, || {
            if database.check_integrity()? {
                return Ok(());
            }
            Err(redb::Error::Corrupted("pages do not agree with their checksums".to_owned()))
        })
    }
}

/// A table, where there is one.
pub(super) fn table<K: Key + 'static, V: Value + 'static>(
    read: &ReadTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>, redb::Error> {
    match read.open_table(definition) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn meta(read: &ReadTransaction, key: &str) -> Result<Option<i64>, redb::Error> {
    let Some(table) = table(read, META)? else { return Ok(None) };
    Ok(table.get(key)?.map(|value| value.value()))
}

fn builder(cache: usize) -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(cache);
    builder
}

fn overlay(path: &Path) -> Result<Database, redb::Error> {
    let backend = Overlay::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => redb::Error::DatabaseAlreadyOpen,
        _ => error.into(),
    })?;
    Ok(builder(READER_CACHE).create_with_backend(backend)?)
}
