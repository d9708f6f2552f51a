//! Sessions of those who signed in: what a restart must not forget. The file knows a
//! session by the hash of its secret; what it is, is the business of who writes it.

use std::path::Path;

use redb::{ReadableTable, TableDefinition};

use super::{StoreError, book::Book, file::table};

const SESSIONS: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("sessions");

/// A session: its key, and what it is.
pub type KeptSession = ([u8; 32], Vec<u8>);
/// What becomes of a session: by its key, its content, or `None` where it has ended.
pub type SessionChange = ([u8; 32], Option<Vec<u8>>);

/// The file of sessions.
pub struct SessionBook(Book);

impl SessionBook {
    /// The sessions below `data_dir`; the file is made with its first use.
    pub fn new(data_dir: &Path) -> Self {
        Self(Book::new(data_dir, "sessions.redb"))
    }

    /// Every session, by its key.
    pub fn load(&self) -> Result<Vec<KeptSession>, StoreError> {
        self.0.read(|read| {
            let Some(table) = table(read, SESSIONS)? else { return Ok(Vec::new()) };
            let mut sessions = Vec::new();
            for row in table.iter()? {
                let (key, content) = row?;
                sessions.push((key.value(), content.value().to_vec()));
            }
            Ok(sessions)
        })
    }

    /// Writes all changes durably, or none.
    pub fn write(&self, changes: &[SessionChange]) -> Result<(), StoreError> {
        self.0.write(|write| {
            let mut table = write.open_table(SESSIONS)?;
            for (key, content) in changes {
                match content {
                    Some(content) => table.insert(key, content.as_slice())?,
                    None => table.remove(key)?,
                };
            }
            Ok(())
        })
    }

    /// Lets go of the file for good, so that another process can open it.
    pub fn close(&self) {
        self.0.close();
    }

    /// Damage that was found since it was last asked; the file is set aside.
    pub fn damaged(&self) -> Vec<StoreError> {
        self.0.damaged()
    }
}
