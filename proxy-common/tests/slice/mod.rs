//! A frame that is a slice.

use proxy_common::parse::{Bytes, Frame};

/// Its bytes.
pub(crate) struct Slice<'a>(pub(crate) &'a [u8]);

impl Frame for Slice<'_> {
    fn read<const N: usize>(&self, offset: u32) -> Option<Bytes<N>> {
        let from = usize::try_from(offset).ok()?;
        Some(Bytes(self.0.get(from..from.checked_add(N)?)?.try_into().ok()?))
    }

    fn length(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Such that it matters which payload is asked about.
    fn merged(&self, payload: u32) -> u16 {
        u16::try_from(payload / 10).unwrap_or(u16::MAX)
    }
}
