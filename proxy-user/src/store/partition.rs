//! One file: the records of a day, or 512 MiB of them.

use std::{
    fs,
    panic::{UnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{
    Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, TableDefinition,
    TableError,
};
use uuid::Uuid;

use super::StoreError;

/// Id to encoded record.
pub(super) const RECORDS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("records");
/// What the partition as a whole has: see the keys.
pub(super) const META: TableDefinition<'_, &str, i64> = TableDefinition::new("meta");
/// Epoch, service, reason, CPU to attempts accounted for.
pub(super) const ACCOUNTED: TableDefinition<'_, (u64, u16, u8, u32), u64> =
    TableDefinition::new("accounted");
/// Flows whose records are committed and whose kernel entries may still be there.
pub(super) const FLOWS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("flows");
/// The highest id that was committed, also where records are not kept: what is up to
/// it was written, and is not counted again.
pub(super) const COMMITTED: TableDefinition<'_, (), u128> = TableDefinition::new("committed");

/// Key of [`META`]: the format of the file.
pub(super) const META_FORMAT: &str = "format";
/// Key of [`META`]: smallest `started_at` of its records.
pub(super) const META_FIRST: &str = "first_started_at";
/// Key of [`META`]: smallest `timestamp`.
pub(super) const META_LEAST: &str = "least_timestamp";
/// Key of [`META`]: largest `timestamp`.
pub(super) const META_MOST: &str = "most_timestamp";
/// What this Weir writes.
pub(super) const FORMAT: i64 = 1;

/// Times that a partition's records span, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) first_started: i64,
    pub(super) least: i64,
    pub(super) most: i64,
}

enum File {
    Writable(Database),
    ReadOnly(ReadOnlyDatabase),
}

/// An open partition. Its file stays readable until the last holder drops it, also
/// when retention has unlinked it.
pub(super) struct Partition {
    pub(super) path: PathBuf,
    file: File,
}

impl Partition {
    /// Makes a new one.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let database = Database::create(path).map_err(|e| StoreError::of(path)(e.into()))?;
        Ok(Self { path: path.to_owned(), file: File::Writable(database) })
    }

    /// Opens an existing one, to write or to read only.
    pub(super) fn open(path: &Path, writable: bool) -> Result<Self, StoreError> {
        // Opening to write changes the file, and a newer Weir's is not ours to change.
        let read = Self::open_as(path, || ReadOnlyDatabase::open(path).map(File::ReadOnly));
        match read {
            Ok(partition) if writable => drop(partition),
            // What can be repaired can be so only to write.
            Err(StoreError::Damaged { .. }) if writable => {}
            other => return other,
        }
        Self::open_as(path, || Database::open(path).map(File::Writable))
    }

    fn open_as(
        path: &Path,
        open: impl FnOnce() -> Result<File, DatabaseError> + UnwindSafe,
    ) -> Result<Self, StoreError> {
        let why = "its contents contradict each other".to_owned();
        // A damaged file can make the library assert; that must not end the daemon.
        let file = catch_unwind(open)
            .map_err(|_| StoreError::Damaged { path: path.to_owned(), why })?
            .map_err(|error| StoreError::of(path)(error.into()))?;
        let partition = Self { path: path.to_owned(), file };
        match partition.meta(META_FORMAT)? {
            Some(format) if format > FORMAT => Err(StoreError::Newer {
                path: path.to_owned(),
                found: u64::try_from(format).unwrap_or(0),
                known: u64::try_from(FORMAT).unwrap_or(0),
            }),
            _ => Ok(partition),
        }
    }

    pub(super) fn fail(&self) -> impl Fn(redb::Error) -> StoreError + use<'_> {
        StoreError::of(&self.path)
    }

    pub(super) fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        let begun = match &self.file {
            File::Writable(database) => database.begin_read(),
            File::ReadOnly(database) => database.begin_read(),
        };
        begun.map_err(|error| self.fail()(error.into()))
    }

    /// The database, where it may be written.
    pub(super) fn writable(&self) -> Option<&Database> {
        match &self.file {
            File::Writable(database) => Some(database),
            File::ReadOnly(_) => None,
        }
    }

    /// A value of [`META`].
    pub(super) fn meta(&self, key: &str) -> Result<Option<i64>, StoreError> {
        let read = self.begin_read()?;
        let table = match read.open_table(META) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(self.fail()(error.into())),
        };
        let value = table.get(key).map_err(|error| self.fail()(error.into()))?;
        Ok(value.map(|guard| guard.value()))
    }

    /// `None`: it holds no records.
    pub(super) fn bounds(&self) -> Result<Option<Bounds>, StoreError> {
        let values = [META_FIRST, META_LEAST, META_MOST].map(|key| self.meta(key));
        let [first, least, most] = values;
        let (Some(first_started), Some(least), Some(most)) = (first?, least?, most?) else {
            return Ok(None);
        };
        Ok(Some(Bounds { first_started, least, most }))
    }

    /// The highest id that was committed.
    pub(super) fn last_id(&self) -> Result<Option<Uuid>, StoreError> {
        let table = match self.begin_read()?.open_table(COMMITTED) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(self.fail()(error.into())),
        };
        let last = table.get(()).map_err(|error| self.fail()(error.into()))?;
        Ok(last.map(|id| Uuid::from_u128(id.value())))
    }

    /// The records, as of now; `None` where none was ever written.
    pub(super) fn records(
        &self,
    ) -> Result<Option<redb::ReadOnlyTable<u128, &'static [u8]>>, StoreError> {
        match self.begin_read()?.open_table(RECORDS) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(self.fail()(error.into())),
        }
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }
}
