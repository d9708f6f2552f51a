//! Weir's own log: what it did, and what was done to it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
};

use parking_lot::Mutex;
use redb::{ReadableTable, ReadableTableMetadata, TableDefinition};
use serde::{Deserialize, Serialize};

use super::{StoreError, book::Book, file::table};
use crate::record::Timestamp;

/// What Weir did and was told to do.
const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
/// Who came and went: as many as users like, so they displace only each other. Both tables'
/// places are of one count.
const VISITS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("visits");
/// Events that are visits.
const OF_VISITS: [&str; 3] = ["signed_in", "signed_out", "session_refused"];
/// Entries of each table; the oldest go first.
const MOST: u64 = if cfg!(test) { 50 } else { 200_000 };
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
            let (mut events, mut visits) = (write.open_table(EVENTS)?, write.open_table(VISITS)?);
            let mut next = 0;
            for table in [&events, &visits] {
                next = table.last()?.map_or(next, |(place, _)| next.max(place.value() + 1));
            }
            for (place, entry) in (next..).zip(&*waiting) {
                // Plain data into memory: postcard has nothing to refuse.
                let bytes = postcard::to_stdvec(entry).unwrap_or_default();
                let is_visit = OF_VISITS.contains(&entry.event.as_str());
                let table = if is_visit { &mut visits } else { &mut events };
                table.insert(place, bytes.as_slice())?;
                if table.len()? > MOST {
                    table.pop_first()?;
                }
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
            let (mut places, mut entries) = (Vec::new(), Vec::new());
            let tables = [table(read, EVENTS)?, table(read, VISITS)?];
            for (kind, table) in tables.iter().enumerate() {
                for row in table.iter().map(ReadableTable::iter) {
                    for place in row?.rev().take(skip.saturating_add(limit)) {
                        places.push((place?.0.value(), kind));
                    }
                }
            }
            places.sort_unstable_by_key(|(place, _)| Reverse(*place));
            for (place, kind) in places.into_iter().skip(skip).take(limit) {
                let Some(table) = &tables[kind] else { continue };
                let bytes = table.get(place)?;
                entries.extend(bytes.and_then(|bytes| postcard::from_bytes(bytes.value()).ok()));
            }
            let mut total = 0;
            for table in tables.iter().flatten() {
                total += table.len()?;
            }
            Ok((entries, total))
        })
    }
}
