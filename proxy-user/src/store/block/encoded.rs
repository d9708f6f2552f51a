//! A block as bytes, and its head: what is known of it without reading it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    columns::{Columns, timestamp},
    field::{Code, Column, Number, Text},
    id::Id,
    packed, sources, texts,
    varint::unzigzag,
};
use crate::record::Timestamp;

/// Records of a block at most. A tail grows beyond a full block where the disk has room for
/// commits, and none for the block.
const MOST_ROWS: usize = 64 * super::ROWS;

/// What is known of a block without reading it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::store) struct Head {
    /// Records.
    pub(in crate::store) rows: u32,
    /// Of its first record.
    pub(in crate::store) first_id: Uuid,
    /// Of its last record.
    pub(in crate::store) last_id: Uuid,
    /// Of its records.
    pub(in crate::store) times: Times,
    /// Dictionary and rows of each column, in the order of [`Column::place`].
    pub(super) spans: Vec<[Span; 2]>,
}

/// Between which times records lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Times {
    /// Smallest and largest `started_at`.
    pub(in crate::store) started: (Timestamp, Timestamp),
    /// Smallest and largest `timestamp`.
    pub(in crate::store) logged: (Timestamp, Timestamp),
}

/// Where something lies in a block's bytes, and their CRC-32.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) from: u32,
    pub(super) length: u32,
    pub(super) crc: u32,
}

impl Head {
    /// Whether a block can be like that: what is read by it allocates for its rows.
    pub(in crate::store) fn is_possible(&self) -> bool {
        (1..=MOST_ROWS).contains(&(self.rows as usize)) && self.spans.len() == Column::COUNT
    }
}

impl Head {
    /// Bytes of the block.
    pub(in crate::store) fn bytes(&self) -> u64 {
        let ends = self.spans.iter().flatten();
        ends.map(|span| u64::from(span.from) + u64::from(span.length)).max().unwrap_or(0)
    }
}

impl Times {
    /// What holds both.
    pub(in crate::store) fn and(self, other: Self) -> Self {
        let both =
            |a: (Timestamp, Timestamp), b: (Timestamp, Timestamp)| (a.0.min(b.0), a.1.max(b.1));
        Self { started: both(self.started, other.started), logged: both(self.logged, other.logged) }
    }
}

/// How a block's texts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kept {
    /// In memory, until it is joined with others.
    Plain,
    /// In a file.
    Compressed,
}

impl Columns<'_> {
    /// The block, or `None` where there are no rows.
    pub(in crate::store) fn encode(&self, kept: Kept) -> Option<(Head, Bytes)> {
        let mut bytes = Vec::new();
        let mut spans = vec![[Span::default(); 2]; Column::COUNT];
        let mut codes = Vec::new();
        let widen = |from: &[u32], to: &mut Vec<u64>| {
            to.clear();
            to.extend(from.iter().copied().map(u64::from));
        };
        for code in Code::ALL {
            let column = &self.codes[code as usize];
            widen(&column.codes, &mut codes);
            spans[Column::Code(code).place()] = [
                span(&mut bytes, |out| packed::encode_rising(&column.values, out)),
                span(&mut bytes, |out| packed::encode(&codes, out)),
            ];
        }
        widen(&self.source.codes, &mut codes);
        spans[Column::Source.place()] = [
            span(&mut bytes, |out| sources::encode(&self.source.values, out)),
            span(&mut bytes, |out| packed::encode(&codes, out)),
        ];
        for number in Number::ALL {
            let rows = &self.numbers[number as usize];
            spans[Column::Number(number).place()] =
                [Span::default(), span(&mut bytes, |out| packed::encode(rows, out))];
        }
        let is_compressed = kept == Kept::Compressed;
        for text in Text::ALL {
            let column = &self.texts[text as usize];
            widen(&column.codes, &mut codes);
            spans[Column::Text(text).place()] = [
                span(&mut bytes, |out| texts::encode(&column.values, is_compressed, out)),
                span(&mut bytes, |out| packed::encode(&codes, out)),
            ];
        }
        let last = self.rows.checked_sub(1)?;
        let head = Head {
            rows: u32::try_from(self.rows).ok()?,
            first_id: self.id(0),
            last_id: self.id(last),
            times: self.times(),
            spans,
        };
        Some((head, bytes.into()))
    }

    fn number(&self, number: Number, row: usize) -> u64 {
        self.numbers[number as usize].get(row).copied().unwrap_or(0)
    }

    fn id(&self, row: usize) -> Uuid {
        let node = &self.codes[Code::IdNode as usize];
        let node = node.codes.get(row).and_then(|code| node.values.get(*code as usize));
        let logged = timestamp(self.number(Number::Timestamp, row)).0;
        let time = logged.wrapping_add(unzigzag(self.number(Number::IdTime, row)));
        let count = self.number(Number::IdCount, row);
        Id { time: time.cast_unsigned(), count, node: node.copied().unwrap_or(0) }.into()
    }

    fn times(&self) -> Times {
        let of = |row: usize| {
            let logged = timestamp(self.number(Number::Timestamp, row));
            let started = started(
                logged,
                self.number(Number::Duration, row),
                self.number(Number::StartedBefore, row),
            );
            Times { started: (started, started), logged: (logged, logged) }
        };
        (1..self.rows).map(of).fold(of(0), Times::and)
    }
}

/// `started_at`, by the columns that tell it.
pub(in crate::store) const fn started(logged: Timestamp, duration: u64, before: u64) -> Timestamp {
    let wall = unzigzag(before).wrapping_add(duration.cast_signed());
    Timestamp(logged.0.wrapping_sub(wall))
}

fn span(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Span {
    let from = bytes.len();
    write(bytes);
    let written = &bytes[from..];
    let crc = crc32fast::hash(written);
    let small = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    Span { from: small(from), length: small(written.len()), crc }
}
