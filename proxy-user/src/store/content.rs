//! What a partition holds, as its readers see it at some moment.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    StoreError,
    block::{Block, Columns, Head, Kept, Reader, Scratch, Texts, Times},
    codec,
    file::RecordsFile,
    pieces::{self, Pieces},
    tail,
};
use crate::record::Record;

/// A chunk of fewer records is joined with the next, so that a scan meets few chunks.
const SMALL: usize = 4096;
/// Records that are brought into columns together where many are read.
const CHUNK: usize = 8192;

/// Bytes of a file beside its blocks.
const SLACK: u64 = 2 << 20;

/// Blocks in the order of their ids: those of the file, then chunks, which hold the same
/// records as the rows of its tail.
#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) blocks: Vec<Arc<Block>>,
    /// How many of them are the file's.
    in_file: usize,
    /// Number of the next block of the file.
    next: u64,
}

/// A block to be written to the file.
pub(super) struct Settling {
    pub(super) number: u64,
    pub(super) head: Head,
    pub(super) bytes: Bytes,
}

impl Content {
    /// What is in a file. What cannot be decoded is passed over: [`super::Store::verify`]
    /// counts it.
    pub(super) fn read(file: &RecordsFile) -> Result<Self, StoreError> {
        let mut content = Self::default();
        for (number, head) in file.heads()? {
            content.add(number, head);
        }
        let mut records: Vec<Record> = Vec::new();
        file.each_row(|id, row| {
            records.extend(codec::decode(id, row));
            if records.len() >= CHUNK {
                content.push(&records.iter().collect::<Vec<_>>());
                records.clear();
            }
        })?;
        content.push(&records.iter().collect::<Vec<_>>());
        Ok(content)
    }

    fn add(&mut self, number: u64, head: Head) {
        self.blocks.truncate(self.in_file);
        self.blocks.push(Arc::new(Block::in_file(head, number)));
        self.in_file = self.blocks.len();
        self.next = number + 1;
    }

    /// Records.
    pub(super) fn rows(&self) -> u64 {
        self.blocks.iter().map(|block| block.rows() as u64).sum()
    }

    fn tail(&self) -> &[Arc<Block>] {
        self.blocks.get(self.in_file..).unwrap_or_default()
    }

    /// Records of the tail.
    pub(super) fn tail_rows(&self) -> usize {
        self.tail().iter().map(|block| block.rows()).sum()
    }

    /// Whether a file of so many bytes is larger than it need be.
    pub(super) fn is_loose_in(&self, bytes: u64) -> bool {
        let blocks: u64 = self.blocks.iter().map(|block| block.head.bytes()).sum();
        self.tail_rows() > 0 || bytes > blocks + blocks / 4 + SLACK
    }

    /// `None`: it holds no records.
    pub(super) fn times(&self) -> Option<Times> {
        self.blocks.iter().map(|block| block.head.times).reduce(Times::and)
    }

    /// Adds records behind all others, to the tail.
    pub(super) fn push(&mut self, records: &[&Record]) {
        let scratch = Scratch::of(records);
        let Some((head, bytes)) = Columns::of(records, &scratch).encode(Kept::Plain) else {
            return;
        };
        self.blocks.push(Arc::new(Block::in_memory(head, bytes)));
        while let [.., before, last] = self.tail()
            && before.rows() < SMALL
            && before.rows() <= 2 * last.rows()
        {
            let two = &self.tail()[self.tail().len() - 2..];
            // What was encoded here can be read.
            let Ok(Some((head, bytes))) = join(two, &Pieces::none(), Kept::Plain) else { return };
            self.blocks.truncate(self.blocks.len() - 2);
            self.blocks.push(Arc::new(Block::in_memory(head, bytes)));
        }
    }

    /// The tail as a block for the file; `None` where it is empty.
    pub(super) fn settling(&self) -> Result<Option<Settling>, StoreError> {
        let joined = join(self.tail(), &Pieces::none(), Kept::Compressed)?;
        Ok(joined.map(|(head, bytes)| Settling { number: self.next, head, bytes }))
    }

    /// After that was written.
    pub(super) fn settled(&self, settling: Settling) -> Self {
        let mut content = self.clone();
        content.add(settling.number, settling.head);
        content
    }
}

/// Makes a block of the tail, in the file too.
pub(super) fn settle(file: &RecordsFile, content: Content) -> Result<Content, StoreError> {
    let Some(settling) = content.settling()? else { return Ok(content) };
    let Settling { number, head, bytes } = &settling;
    file.write(|write| {
        tail::clear(write)?;
        pieces::write(write, *number, head, bytes)
    })?;
    Ok(content.settled(settling))
}

/// These blocks as one; `None` where there are none.
pub(super) fn join(
    blocks: &[Arc<Block>],
    pieces: &Pieces,
    kept: Kept,
) -> Result<Option<(Head, Bytes)>, StoreError> {
    if blocks.is_empty() {
        return Ok(None);
    }
    let reader = |block| Reader { block, pieces };
    let texts: Vec<Vec<Texts>> =
        blocks.iter().map(|block| reader(block).dictionaries()).collect::<Result<_, _>>()?;
    let columns = blocks.iter().zip(&texts).map(|(block, texts)| reader(block).columns(texts));
    Ok(Columns::joined(columns.collect::<Result<_, _>>()?).encode(kept))
}
