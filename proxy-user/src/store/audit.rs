//! Weir's own log: what it did, and what was done to it.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
};

use parking_lot::Mutex;
use redb::{ReadableTable, ReadableTableMetadata, TableDefinition};
use serde::{Deserialize, Serialize};

use super::{StoreError, book::Book, file::table};
use crate::record::Timestamp;

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
/// Entries that wait to be written, while the file cannot be.
const MOST_WAITING: usize = 1000;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub timestamp: Timestamp,
    /// What: `start`, `stop`, `reload`, `token_created`, `token_revoked`, `signed_in`,
    /// `signed_out`, `session_refused`, `session_revoked`, `handover`, `target_down`,
    /// `target_up`, `gap`.
    pub event: String,
    /// Who asked for it; `weir` for what happened by itself.
    pub who: String,
    /// What else is worth knowing.
    pub details: BTreeMap<String, String>,
}

/// The audit log; cheap to clone.
#[derive(Clone)]
pub struct Audit {
    book: Arc<Book>,
    waiting: Arc<Mutex<VecDeque<AuditEntry>>>,
}

impl Audit {
    /// The log below `data_dir`.
    pub fn new(data_dir: &Path) -> Self {
        let book = Arc::new(Book::new(data_dir, "audit.redb"));
        Self { book, waiting: Arc::default() }
    }

    /// Appends an entry, durably. One that cannot be written is written by a later
    /// [`Self::flush`].
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
        let mut waiting = self.waiting.lock();
        // Where too many wait, the first tell what began, and the last how it is now.
        waiting.truncate(MOST_WAITING - 1);
        waiting.push_back(entry);
        self.write(&mut waiting)
    }

    /// Writes what could not be written before.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() { Ok(()) } else { self.write(&mut waiting) }
    }

    fn write(&self, waiting: &mut VecDeque<AuditEntry>) -> Result<(), StoreError> {
        self.book.write(|write| {
            let mut table = write.open_table(EVENTS)?;
            let next = table.last()?.map_or(0, |(place, _)| place.value() + 1);
            for (place, entry) in (next..).zip(&*waiting) {
                // Plain data into memory: postcard has nothing to refuse.
                let bytes = postcard::to_stdvec(entry).unwrap_or_default();
                table.insert(place, bytes.as_slice())?;
            }
            Ok(())
        })?;
        waiting.clear();
        Ok(())
    }

    /// Lets go of the file for good, so that another process can open it.
    pub fn close(&self) {
        self.book.close();
    }

    /// Damage that was found since it was last asked; the file is set aside.
    pub fn damaged(&self) -> Vec<StoreError> {
        self.book.damaged()
    }

    /// Entries, newest first, and how many there are in all.
    pub fn list(&self, skip: usize, limit: usize) -> Result<(Vec<AuditEntry>, u64), StoreError> {
        self.book.read(|read| {
            let Some(table) = table(read, EVENTS)? else { return Ok((Vec::new(), 0)) };
            let mut entries = Vec::new();
            for row in table.iter()?.rev().skip(skip).take(limit) {
                entries.extend(postcard::from_bytes::<AuditEntry>(row?.1.value()).ok());
            }
            Ok((entries, table.len()?))
        })
    }
}
