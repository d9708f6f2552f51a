//! Whether the files are what was written.

use std::{path::Path, sync::Arc};

use super::{
    Store, StoreError,
    block::{Block, Reader, Rows},
    codec,
    file::{Access, RecordsFile},
    pieces::Pieces,
};

/// What a check of the files found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Records that can be read.
    pub good: u64,
    /// Records of a shape that this Weir does not know.
    pub bad: u64,
    /// What is wrong with which file.
    pub faults: Vec<StoreError>,
}

impl Store {
    /// Compares every page of every file with its checksum, and reads every record.
    /// For a store that is open to be read only; no file is changed.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let mut verified = Verified { faults: self.damaged(), ..Verified::default() };
        for partition in self.partitions()? {
            match verify(&partition.path) {
                Ok((good, all)) => {
                    verified.good += good;
                    verified.bad += all.saturating_sub(good);
                }
                Err(error) => verified.faults.push(error),
            }
        }
        Ok(verified)
    }
}

/// How many records can be read, of how many.
fn verify(path: &Path) -> Result<(u64, u64), StoreError> {
    let mut file = RecordsFile::open(path, Access::Overlay)?;
    file.check()?;
    let (mut good, mut all) = (0, 0);
    file.each_row(|id, row| {
        all += 1;
        good += u64::from(codec::decode(id, row).is_some());
    })?;
    let file = Arc::new(file);
    let pieces = Pieces::of(&file, &Arc::default())?;
    for (number, head) in file.heads()? {
        let block = Block::in_file(head, number);
        let rows = Rows::of(Reader { block: &block, pieces: &pieces })?;
        all += block.rows() as u64;
        good += (0..block.rows()).filter(|row| rows.record(*row).is_some()).count() as u64;
    }
    Ok((good, all))
}
