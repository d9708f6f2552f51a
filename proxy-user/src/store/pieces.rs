//! Blocks as a file holds them: cut in pieces that fill pages of redb's.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use uuid::Uuid;

use super::{
    StoreError,
    block::Head,
    file::{RecordsFile, table},
    kept::Kept,
};

/// A block's number and a piece's place in it to its bytes.
const PIECES: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("pieces");
/// A block's number to its [`super::block::Head`].
const HEADS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");

/// redb rounds what does not fit a page of 4 KiB up to a power of two, of which key and
/// lengths take a little.
const PIECE: usize = (64 << 10) - 32;

/// Writes a block.
pub(super) fn write(
    write: &WriteTransaction,
    number: u64,
    head: &Head,
    bytes: &[u8],
) -> Result<(), redb::Error> {
    let mut table = write.open_table(PIECES)?;
    for (place, piece) in (0u32..).zip(bytes.chunks(PIECE)) {
        table.insert((number, place), piece)?;
    }
    // Plain data into memory: postcard has nothing to refuse.
    let head = postcard::to_stdvec(head).unwrap_or_default();
    write.open_table(HEADS)?.insert(number, head.as_slice())?;
    Ok(())
}

/// Every block's number and head, in order.
pub(super) fn heads(read: &ReadTransaction) -> Result<Vec<(u64, Head)>, redb::Error> {
    let Some(table) = table(read, HEADS)? else { return Ok(Vec::new()) };
    let mut heads = Vec::new();
    for row in table.iter()? {
        let (number, bytes) = row?;
        let number = number.value();
        let head = postcard::from_bytes(bytes.value()).ok().filter(Head::is_possible);
        let unreadable = || redb::Error::Corrupted(format!("block {number} has no readable head"));
        heads.push((number, head.ok_or_else(unreadable)?));
    }
    Ok(heads)
}

/// The pieces of a file as of some moment. A block that is there stays.
pub(super) struct Pieces {
    path: PathBuf,
    /// Open as long as it is read.
    _file: Option<Arc<RecordsFile>>,
    kept: Option<Arc<Kept>>,
    table: Option<ReadOnlyTable<(u64, u32), &'static [u8]>>,
}

impl Pieces {
    pub(super) fn of(file: &Arc<RecordsFile>, kept: &Arc<Kept>) -> Result<Self, StoreError> {
        let table = file.read(|read| table(read, PIECES))?;
        Ok(Self {
            path: file.path.clone(),
            _file: Some(Arc::clone(file)),
            kept: Some(Arc::clone(kept)),
            table,
        })
    }

    /// Of what is whole in memory.
    pub(super) fn none() -> Self {
        Self { path: PathBuf::new(), _file: None, kept: None, table: None }
    }

    /// That the file cannot be made sense of.
    pub(super) fn damaged(&self, why: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), why: why.to_owned() }
    }

    /// What is kept in memory under `key`, else what `read` gives.
    pub(super) fn kept(
        &self,
        key: (Uuid, u32),
        read: impl FnOnce() -> Result<Bytes, StoreError>,
    ) -> Result<Bytes, StoreError> {
        match &self.kept {
            Some(kept) => kept.get(key, read),
            None => read(),
        }
    }

    /// Bytes of a block.
    pub(super) fn read(
        &self,
        number: u64,
        from: usize,
        length: usize,
    ) -> Result<Bytes, StoreError> {
        let missing = || self.damaged(&format!("block {number} lacks bytes"));
        let table = self.table.as_ref().ok_or_else(missing)?;
        let mut bytes = Vec::new();
        let mut from = from;
        let end = from + length;
        while from < end {
            let place = u32::try_from(from / PIECE).map_err(|_| missing())?;
            let piece = StoreError::guard(&self.path, || Ok(table.get((number, place))?))?;
            let piece = piece.ok_or_else(missing)?;
            let within = from % PIECE;
            let part = piece.value().get(within..).ok_or_else(missing)?;
            let part = &part[..part.len().min(end - from)];
            if part.is_empty() {
                return Err(missing());
            }
            bytes.reserve(if bytes.is_empty() { length.min(PIECE * 64) } else { 0 });
            bytes.extend_from_slice(part);
            from += part.len();
        }
        Ok(bytes.into())
    }
}
