//! A file that is read as if it could be written: what redb writes to repair it or
//! to check it stays in memory.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::Path,
};

use parking_lot::Mutex;
use redb::StorageBackend;

/// Unit of what is kept in memory; redb's page.
const BLOCK: u64 = 4096;
const BLOCK_BYTES: usize = 4096;

type Block = Box<[u8; BLOCK_BYTES]>;

/// The file and what was written over it.
#[derive(Debug)]
pub(super) struct Overlay {
    file: File,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    len: u64,
    /// Bytes of the file that still count: what was cut off reads as zeros.
    from_file: u64,
    blocks: BTreeMap<u64, Block>,
}

impl Overlay {
    /// Opens the file, and keeps writers from it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        file.try_lock_shared()?;
        let len = file.metadata()?.len();
        if len == 0 {
            // redb would make a new database of it.
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the file is empty"));
        }
        let written = Written { len, from_file: len, blocks: BTreeMap::new() };
        Ok(Self { file, written: Mutex::new(written) })
    }

    /// The block as the file has it.
    fn below(&self, number: u64, from_file: u64) -> io::Result<Block> {
        let mut block = Box::new([0; BLOCK_BYTES]);
        let begin = number * BLOCK;
        let there = from_file.saturating_sub(begin).min(BLOCK);
        let there = usize::try_from(there).unwrap_or(BLOCK_BYTES);
        self.file.read_exact_at(&mut block[..there], begin)?;
        Ok(block)
    }
}

/// Parts of blocks that so many bytes from `offset` on lie in: block, place within it,
/// bytes.
fn parts(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = usize::try_from(at % BLOCK).unwrap_or(0);
        let count = (bytes - done).min(BLOCK_BYTES - within);
        done += count;
        (count > 0).then_some((at / BLOCK, within, count))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written.lock();
        if offset.saturating_add(out.len() as u64) > written.len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut rest = out;
        for (number, within, count) in parts(offset, rest.len()) {
            let (piece, after) = rest.split_at_mut(count);
            if let Some(block) = written.blocks.get(&number) {
                piece.copy_from_slice(&block[within..within + count]);
            } else {
                let block = self.below(number, written.from_file)?;
                piece.copy_from_slice(&block[within..within + count]);
            }
            rest = after;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.written.lock();
        written.from_file = written.from_file.min(len);
        written.len = len;
        written.blocks.split_off(&len.div_ceil(BLOCK));
        let within = usize::try_from(len % BLOCK).unwrap_or(0);
        if let Some(cut) = written.blocks.get_mut(&(len / BLOCK)) {
            cut[within..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written.lock();
        let mut rest = data;
        for (number, within, count) in parts(offset, data.len()) {
            let (piece, after) = rest.split_at(count);
            let mut block = match written.blocks.remove(&number) {
                Some(block) => block,
                None => self.below(number, written.from_file)?,
            };
            block[within..within + count].copy_from_slice(piece);
            written.blocks.insert(number, block);
            rest = after;
        }
        written.len = written.len.max(offset.saturating_add(data.len() as u64));
        Ok(())
    }
}
