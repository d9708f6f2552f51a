//! Weir's own log: what it did, and what was done to it.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableError,
};
use serde::{Deserialize, Serialize};

use super::{StoreError, records::private};
use crate::record::Timestamp;

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub timestamp: Timestamp,
    /// What: `start`, `stop`, `reload`, `token_created`, `token_revoked`, `gap`.
    pub event: String,
    /// Who asked for it; `weir` for what happened by itself.
    pub who: String,
    /// What else is worth knowing.
    pub details: BTreeMap<String, String>,
}

/// The audit log; cheap to clone.
#[derive(Clone)]
pub struct Audit {
    database: Arc<Database>,
    path: Arc<Path>,
}

impl Audit {
    /// Opens the log below `data_dir`, and makes it where there is none.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        private(data_dir)?;
        let path = data_dir.join("audit.redb");
        let database = Database::create(&path).map_err(|e| StoreError::of(&path)(e.into()))?;
        Ok(Self { database: Arc::new(database), path: path.into() })
    }

    /// Appends an entry, durably.
    pub fn append(
        &self,
        event: &str,
        who: &str,
        details: BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        let entry = AuditEntry {
            timestamp: Timestamp::now(),
            event: event.to_owned(),
            who: who.to_owned(),
            details,
        };
        // Plain data into memory: postcard has nothing to refuse.
        let bytes = postcard::to_stdvec(&entry).unwrap_or_default();
        let run = || -> Result<(), redb::Error> {
            let write = self.database.begin_write()?;
            {
                let mut table = write.open_table(EVENTS)?;
                let next = table.last()?.map_or(0, |(place, _)| place.value() + 1);
                table.insert(next, bytes.as_slice())?;
            }
            Ok(write.commit()?)
        };
        run().map_err(StoreError::of(&self.path))
    }

    /// Entries, newest first, and how many there are in all.
    pub fn list(&self, skip: usize, limit: usize) -> Result<(Vec<AuditEntry>, u64), StoreError> {
        let run = || -> Result<(Vec<AuditEntry>, u64), redb::Error> {
            let table = match self.database.begin_read()?.open_table(EVENTS) {
                Ok(table) => table,
                Err(TableError::TableDoesNotExist(_)) => return Ok((Vec::new(), 0)),
                Err(error) => return Err(error.into()),
            };
            let mut entries = Vec::new();
            for row in table.iter()?.rev().skip(skip).take(limit) {
                entries.extend(postcard::from_bytes::<AuditEntry>(row?.1.value()).ok());
            }
            Ok((entries, table.len()?))
        };
        run().map_err(StoreError::of(&self.path))
    }
}
