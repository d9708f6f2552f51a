//! Files written anew: those of an older format as the store is opened, and all of them
//! where they are to be as small as can be (`weir store compact`).

use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use redb::TableDefinition;
use uuid::Uuid;

use super::{
    Store, StoreError,
    block::{self, Block, Columns, Kept, Scratch},
    codec,
    content::{Content, Settling, join},
    file::{Access, COMMITTED, FORMAT, META, META_FORMAT, RecordsFile, table},
    noted::{self, Noted},
    notes::{self, Notes},
    pieces::{self, Pieces},
    records, series,
};
use crate::record::Record;

/// Formats 1 and 2: a row for each record, by its id.
pub(super) const RECORDS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("records");
/// What a file is called until it is complete.
const UNFINISHED: &str = "unfinished";

/// Brings a file of an older format to this one.
pub(super) fn migrate(path: &Path) -> Result<(), StoreError> {
    let old = RecordsFile::open(path, Access::Write)?;
    tracing::info!(path = %path.display(), "records of an older format are brought to this one");
    replace(&old, |new| {
        let (mut number, mut after, mut bad) = (0, None, 0);
        loop {
            let (records, seen) = rows_after(&old, after)?;
            bad += seen.count - records.len();
            let records: Vec<&Record> = records.iter().collect();
            let scratch = Scratch::of(&records);
            if let Some((head, bytes)) = Columns::of(&records, &scratch).encode(Kept::Compressed) {
                write(new, &Settling { number, head, bytes })?;
                number += 1;
            }
            after = seen.last;
            if seen.count < block::ROWS {
                break;
            }
        }
        if bad > 0 {
            tracing::warn!(path = %old.path.display(), bad, "records that cannot be read are left behind");
        }
        Ok(())
    })
}

/// Writes a file anew: full blocks of small ones and of the tail, and no room
/// that is not used. One of an older format is brought to this one.
fn compact(path: &Path) -> Result<(), StoreError> {
    let old = Arc::new(RecordsFile::open(path, Access::Write)?);
    if old.format()? != Some(FORMAT) {
        drop(old);
        return migrate(path);
    }
    let (content, pieces) = (Content::read(&old)?, Pieces::of(&old, &Arc::default())?);
    replace(&old, |new| {
        for (number, blocks) in (0..).zip(groups(&content.blocks)) {
            if let Some((head, bytes)) = join(blocks, &pieces, Kept::Compressed)? {
                write(new, &Settling { number, head, bytes })?;
            }
        }
        Ok(())
    })
}

/// What became of the files.
#[derive(Debug, Default)]
pub struct Compacted {
    /// Files that were written anew.
    pub files: usize,
    /// Bytes of all files before.
    pub before: u64,
    /// Bytes of all files now.
    pub after: u64,
    /// What is wrong with which file: it is as it was.
    pub faults: Vec<StoreError>,
}

impl Store {
    /// Writes every file below `data_dir` anew, while no daemon runs.
    pub fn compact(data_dir: &Path) -> Result<Compacted, StoreError> {
        let (dir, mut compacted) = (data_dir.join("records"), Compacted::default());
        let _lock = records::lock(&dir)?;
        let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        for path in series::files(&dir)? {
            compacted.before += size(&path);
            match compact(&path) {
                Ok(()) => compacted.files += 1,
                Err(error) => compacted.faults.push(error),
            }
            compacted.after += size(&path);
        }
        Ok(compacted)
    }
}

/// Blocks in a row that together are not more than a full one.
fn groups(blocks: &[Arc<Block>]) -> Vec<&[Arc<Block>]> {
    let (mut groups, mut from, mut rows) = (Vec::new(), 0, 0);
    for (at, block) in blocks.iter().enumerate() {
        if at > from && rows + block.rows() > block::ROWS {
            groups.push(&blocks[from..at]);
            (from, rows) = (at, 0);
        }
        rows += block.rows();
    }
    groups.extend(blocks.get(from..).filter(|rest| !rest.is_empty()));
    groups
}

/// What was read of rows.
struct Seen {
    count: usize,
    last: Option<u128>,
}

/// A block's worth of records above `after`.
fn rows_after(file: &RecordsFile, after: Option<u128>) -> Result<(Vec<Record>, Seen), StoreError> {
    use std::ops::Bound::{Excluded, Unbounded};
    file.read(|read| {
        let (mut records, mut seen) = (Vec::new(), Seen { count: 0, last: after });
        let Some(table) = table(read, RECORDS)? else { return Ok((records, seen)) };
        let rows = table.range::<u128>((after.map_or(Unbounded, Excluded), Unbounded))?;
        for row in rows.take(block::ROWS) {
            let (id, bytes) = row?;
            seen = Seen { count: seen.count + 1, last: Some(id.value()) };
            records.extend(codec::decode(Uuid::from_u128(id.value()), bytes.value()));
        }
        Ok((records, seen))
    })
}

/// Puts a file in the place of `old` that has its notes and what `fill` writes. A crash
/// leaves the one or the other.
fn replace(
    old: &RecordsFile,
    fill: impl FnOnce(&RecordsFile) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let path = old.path.as_path();
    let unfinished = path.with_extension(UNFINISHED);
    let _ = fs::remove_file(&unfinished);
    let made = RecordsFile::create(&unfinished).and_then(|new| {
        fill(&new)?;
        take_over(old, &new)
    });
    let made = made.and_then(|()| {
        let rename = || {
            fs::rename(&unfinished, path)?;
            path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
        };
        rename().map_err(StoreError::io(path))
    });
    if made.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    made
}

/// Accounts, noted flows and the last id.
fn take_over(old: &RecordsFile, new: &RecordsFile) -> Result<(), StoreError> {
    let flows = noted::of_any_format(old)?.into_iter().collect();
    let notes = Notes { accounted: notes::accounted(old)?, flows };
    let last = old.last_id()?;
    new.write(|write| {
        notes.carry(write, &mut Noted::default(), &[])?;
        if let Some(last) = last {
            write.open_table(COMMITTED)?.insert((), last.as_u128())?;
        }
        write.open_table(META)?.insert(META_FORMAT, FORMAT)?;
        Ok(())
    })
}

fn write(file: &RecordsFile, settling: &Settling) -> Result<(), StoreError> {
    let Settling { number, head, bytes } = settling;
    file.write(|write| pieces::write(write, *number, head, bytes))
}

/// Whether a file was being written when its writer was killed.
pub(super) fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == UNFINISHED)
}
