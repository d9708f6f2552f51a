//! The newest records of a partition, as rows: what a commit writes before there are
//! enough for a block.

use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use uuid::Uuid;

use super::{codec, file::table};
use crate::record::Committing;

/// The first id of a run to its rows: each an id, a length, both low byte first, and so
/// many bytes of [`codec`].
const TAIL: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("tail");
/// Bytes at which a run ends: redb rounds up to powers of two.
const RUN: usize = 60 << 10;
/// Bytes of a row before its record.
const ROW_HEAD: usize = size_of::<u128>() + size_of::<u32>();

/// Appends records, which come behind all others.
pub(super) fn append(write: &WriteTransaction, records: &[&Committing]) -> Result<(), redb::Error> {
    let mut table = write.open_table(TAIL)?;
    let (mut run, mut row) = (Vec::with_capacity(RUN), Vec::new());
    let mut first = None;
    for committing in records {
        let id = committing.record.id.as_u128();
        row = codec::encode(&committing.record.draft, row);
        if let Some(begun) = first.filter(|_| run.len() + ROW_HEAD + row.len() > RUN) {
            table.insert(begun, run.as_slice())?;
            run.clear();
            first = None;
        }
        first = first.or(Some(id));
        run.extend(id.to_le_bytes());
        run.extend(u32::try_from(row.len()).unwrap_or(u32::MAX).to_le_bytes());
        run.extend(&row);
    }
    if let Some(begun) = first {
        table.insert(begun, run.as_slice())?;
    }
    Ok(())
}

/// Empties it.
pub(super) fn clear(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.delete_table(TAIL)?;
    Ok(())
}

/// Every row, in the order of ids.
pub(super) fn each(
    read: &ReadTransaction,
    mut take: impl FnMut(Uuid, &[u8]),
) -> Result<(), redb::Error> {
    let Some(table) = table(read, TAIL)? else { return Ok(()) };
    for run in table.iter()? {
        let (_, run) = run?;
        let mut rest = run.value();
        while let Some((id, row)) = next(&mut rest) {
            take(id, row);
        }
    }
    Ok(())
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<(Uuid, &'a [u8])> {
    let (id, after) = rest.split_first_chunk()?;
    let (length, after) = after.split_first_chunk()?;
    let (row, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some((Uuid::from_u128(u128::from_le_bytes(*id)), row))
}
