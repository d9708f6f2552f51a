//! Records by columns: a block is a run of records that is written once and never changed.
//! `docs/store-format.md` tells the format to the byte.

mod coded;
mod columns;
mod encoded;
mod field;
mod id;
mod packed;
mod reader;
mod rows;
mod sources;
#[cfg(test)]
mod tests;
mod texts;
mod varint;

use std::ops::Range;

pub(super) use columns::{Columns, Scratch, ordered, timestamp};
pub(super) use encoded::{Head, Kept, Times, started};
pub(super) use field::{Code, Column, Number, Text};
pub(super) use packed::{GROUP, Packed};
pub(super) use reader::{Block, Reader};
pub(super) use rows::Rows;
pub(super) use sources::{Client, Sources};
pub(super) use texts::Texts;

/// Records of a full block.
pub(super) const ROWS: usize = 1 << 16;

/// The first place of which `is_before` does not hold; those before it come first.
pub(super) fn partition_point(places: Range<usize>, is_before: impl Fn(usize) -> bool) -> usize {
    let Range { start: mut least, end: mut most } = places;
    while least < most {
        let middle = least.midpoint(most);
        if is_before(middle) {
            least = middle + 1;
        } else {
            most = middle;
        }
    }
    least
}
