//! Copy buffers, held only while they carry bytes.

use std::{cell::Cell, mem};

/// Bytes that one read takes: most requests fit, and what fills it is worth
/// splicing.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;

thread_local! {
    /// A session gives its buffer back before the thread goes on to the next, so
    /// one is enough unless a receiver is slow.
    static SPARE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// A buffer on loan from its thread.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty one.
    pub(super) fn take() -> Self {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        let bytes = spare.unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice());
        Self { bytes, start: 0, end: 0 }
    }

    /// Room for a read. What was in it is gone.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The first `length` bytes of the room were filled.
    pub(super) fn filled(&mut self, length: usize) {
        (self.start, self.end) = (0, length);
    }

    /// Room behind what is in it.
    pub(super) fn rest(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// The first `length` bytes of the rest were filled.
    pub(super) fn grown(&mut self, length: usize) {
        self.end += length;
    }

    /// What is yet to be written.
    pub(super) fn unwritten(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The first `length` bytes of it were written.
    pub(super) fn written(&mut self, length: usize) {
        self.start += length;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        // The thread may be ending: then the buffer is freed.
        let _ = SPARE.try_with(|spare| spare.set(Some(bytes)));
    }
}
