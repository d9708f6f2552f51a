//! Columns that were read stay in memory, as many as there is room for: who looks at records
//! asks for the same ones again and again.

use bytes::Bytes;
use quick_cache::{Weighter, sync::Cache};
use uuid::Uuid;

/// Memory for them, bytes.
const MOST_BYTES: u64 = 96 << 20;
/// Columns that it is laid out for.
const USUAL: usize = 4096;

/// A block's first id and where in it the column begins.
type Key = (Uuid, u32);

/// Bytes of columns of blocks of files, as they are in the file.
pub(super) struct Kept(Cache<Key, Bytes, Size>);

#[derive(Clone)]
struct Size;

impl Weighter<Key, Bytes> for Size {
    fn weight(&self, _: &Key, bytes: &Bytes) -> u64 {
        (bytes.len() + size_of::<(Key, Bytes)>()) as u64
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self(Cache::with_weighter(USUAL, MOST_BYTES, Size))
    }
}

impl Kept {
    /// The column that begins there, read by `read` where it is not kept.
    pub(super) fn get<E>(
        &self,
        key: Key,
        read: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        if let Some(bytes) = self.0.get(&key) {
            return Ok(bytes);
        }
        let bytes = read()?;
        self.0.insert(key, bytes.clone());
        Ok(bytes)
    }
}
