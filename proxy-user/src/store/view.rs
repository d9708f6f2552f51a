//! A partition as a query sees it: what it held when the query began.

use std::{cell::OnceCell, sync::Arc};

use super::{StoreError, block::Reader, content::Content, partition::Partition, pieces::Pieces};

pub(super) struct View {
    partition: Arc<Partition>,
    pub(super) content: Arc<Content>,
    /// `None`: retention removed it meanwhile.
    pieces: OnceCell<Option<Pieces>>,
}

impl View {
    /// `None`: retention removed it.
    pub(super) fn of(partition: Arc<Partition>) -> Result<Option<Self>, StoreError> {
        let content = partition.content()?;
        Ok(content.map(|content| Self { partition, content, pieces: OnceCell::new() }))
    }

    /// Reads one of its blocks. The file is opened with the first. `None`: retention
    /// removed the partition.
    pub(super) fn reader(&self, block: usize) -> Result<Option<Reader<'_>>, StoreError> {
        let pieces = if let Some(pieces) = self.pieces.get() {
            pieces
        } else {
            let read = self.partition.pieces()?;
            self.pieces.get_or_init(|| read)
        };
        let block = self.content.blocks.get(block);
        Ok(pieces.as_ref().zip(block).map(|(pieces, block)| Reader { block, pieces }))
    }
}
