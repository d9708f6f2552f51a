//! Reading a block, column by column.

use bytes::Bytes;
use uuid::Uuid;

use super::{
    coded::Coded,
    columns::{Columns, timestamp},
    encoded::{Head, started},
    field::{Code, Column, Number, Text},
    id::Id,
    packed::{self, Packed},
    partition_point,
    sources::Sources,
    texts::Texts,
    varint::unzigzag,
};
use crate::store::{StoreError, pieces::Pieces};

/// A block, of which the head is in memory.
pub(in crate::store) struct Block {
    pub(in crate::store) head: Head,
    place: Place,
}

/// Where a block's bytes are.
enum Place {
    Memory(Bytes),
    /// In the file, under that number.
    File(u64),
}

impl Block {
    /// One that is whole in memory.
    pub(in crate::store) fn in_memory(head: Head, bytes: Bytes) -> Self {
        Self { head, place: Place::Memory(bytes) }
    }

    /// One of a file.
    pub(in crate::store) fn in_file(head: Head, number: u64) -> Self {
        Self { head, place: Place::File(number) }
    }

    /// Records.
    pub(in crate::store) fn rows(&self) -> usize {
        self.head.rows as usize
    }
}

/// A block, and where to read it from.
#[derive(Clone, Copy)]
pub(in crate::store) struct Reader<'a> {
    pub(in crate::store) block: &'a Block,
    pub(in crate::store) pieces: &'a Pieces,
}

impl Reader<'_> {
    pub(in crate::store) fn rows(&self) -> usize {
        self.block.rows()
    }

    fn damaged(&self, column: Column) -> StoreError {
        let first = self.block.head.first_id;
        self.pieces.damaged(&format!("the block from {first} on has no readable {column:?}"))
    }

    fn bytes(&self, column: Column, part: usize) -> Result<Bytes, StoreError> {
        let spans = self.block.head.spans.get(column.place());
        let span = spans.ok_or_else(|| self.damaged(column))?[part];
        let (from, length, crc) = (span.from as usize, span.length as usize, span.crc);
        match &self.block.place {
            Place::Memory(bytes) if from + length <= bytes.len() => {
                Ok(bytes.slice(from..from + length))
            }
            Place::Memory(_) => Err(self.damaged(column)),
            Place::File(number) => {
                let read = || {
                    let bytes = self.pieces.read(*number, from, length)?;
                    if crc32fast::hash(&bytes) == crc {
                        Ok(bytes)
                    } else {
                        Err(self.damaged(column))
                    }
                };
                self.pieces.kept((self.block.head.first_id, span.from), read)
            }
        }
    }

    /// What each row has: a number, or a place in the column's dictionary.
    pub(in crate::store) fn packed(&self, column: Column) -> Result<Packed, StoreError> {
        let bytes = self.bytes(column, 1)?;
        Packed::parse(&bytes, self.rows()).ok_or_else(|| self.damaged(column))
    }

    /// The rows of a column without a dictionary.
    pub(in crate::store) fn number(&self, number: Number) -> Result<Packed, StoreError> {
        self.packed(Column::Number(number))
    }

    /// A column's dictionary.
    pub(in crate::store) fn values(&self, code: Code) -> Result<Vec<u64>, StoreError> {
        let column = Column::Code(code);
        packed::parse_rising(&self.bytes(column, 0)?).ok_or_else(|| self.damaged(column))
    }

    /// A column's dictionary.
    pub(in crate::store) fn texts(&self, text: Text) -> Result<Texts, StoreError> {
        let column = Column::Text(text);
        Texts::parse(&self.bytes(column, 0)?).ok_or_else(|| self.damaged(column))
    }

    /// The clients' dictionary.
    pub(in crate::store) fn sources(&self) -> Result<Sources, StoreError> {
        let column = Column::Source;
        Sources::parse(&self.bytes(column, 0)?).ok_or_else(|| self.damaged(column))
    }

    pub(in crate::store) fn ids(&self) -> Result<Ids, StoreError> {
        Ok(Ids {
            logged: self.number(Number::Timestamp)?,
            time: self.number(Number::IdTime)?,
            count: self.number(Number::IdCount)?,
            node: self.packed(Column::Code(Code::IdNode))?,
            nodes: self.values(Code::IdNode)?,
        })
    }

    /// Whether a request of the block may have an id between these, by the times of both.
    pub(in crate::store) fn may_ask(&self, least: Uuid, most: Uuid) -> Result<bool, StoreError> {
        // A zigzag number is twice as large.
        let apart = self.number(Number::RequestTime)?.bound().div_ceil(2);
        let apart = i64::try_from(apart).unwrap_or(i64::MAX);
        let (earliest, latest) = self.block.head.times.started;
        let time = |id: Uuid| Id::from(id).time.cast_signed();
        Ok(time(most) >= earliest.0.saturating_sub(apart)
            && time(least) <= latest.0.saturating_add(apart))
    }

    /// Ids of requests; what is none has one that means nothing.
    pub(in crate::store) fn request_ids(&self) -> Result<Vec<Uuid>, StoreError> {
        let all = |number| Ok(self.number(number)?.to_vec());
        let (logged, duration) = (all(Number::Timestamp)?, all(Number::Duration)?);
        let (before, time) = (all(Number::StartedBefore)?, all(Number::RequestTime)?);
        let (count, nodes) = (all(Number::RequestCount)?, self.values(Code::RequestNode)?);
        let node = self.packed(Column::Code(Code::RequestNode))?.to_codes();
        let id = |row: usize| {
            let start = started(timestamp(logged[row]), duration[row], before[row]);
            let time = start.0.wrapping_add(unzigzag(time[row])).cast_unsigned();
            let node = nodes.get(node[row] as usize).copied().unwrap_or(0);
            Uuid::from(Id { time, count: count[row], node })
        };
        Ok((0..self.rows()).map(id).collect())
    }

    /// All of it, to be joined with others. `texts` are its dictionaries, which it
    /// refers to.
    pub(in crate::store) fn columns<'t>(
        &self,
        texts: &'t [Texts],
    ) -> Result<Columns<'t>, StoreError> {
        let places = |column: Column, values: usize| {
            let codes = self.packed(column)?.to_codes();
            let is_known = codes.iter().all(|code| (*code as usize) < values);
            if is_known { Ok(codes) } else { Err(self.damaged(column)) }
        };
        let number = |code: Code| {
            let values = self.values(code)?;
            Ok(Coded { codes: places(Column::Code(code), values.len())?, values })
        };
        let text = |text: Text| {
            let values: Vec<&[u8]> =
                texts.get(text as usize).into_iter().flat_map(Texts::iter).collect();
            Ok(Coded { codes: places(Column::Text(text), values.len())?, values })
        };
        let sources: Vec<_> = self.sources()?.clients().collect();
        let source = Coded { codes: places(Column::Source, sources.len())?, values: sources };
        Ok(Columns {
            rows: self.rows(),
            codes: Code::ALL.into_iter().map(number).collect::<Result<_, StoreError>>()?,
            source,
            numbers: Number::ALL
                .into_iter()
                .map(|number| Ok(self.number(number)?.to_vec()))
                .collect::<Result<_, StoreError>>()?,
            texts: Text::ALL.into_iter().map(text).collect::<Result<_, StoreError>>()?,
        })
    }

    /// The dictionaries of all texts.
    pub(in crate::store) fn dictionaries(&self) -> Result<Vec<Texts>, StoreError> {
        Text::ALL.into_iter().map(|text| self.texts(text)).collect()
    }
}

/// Ids of a block's rows.
pub(in crate::store) struct Ids {
    logged: Packed,
    time: Packed,
    count: Packed,
    node: Packed,
    nodes: Vec<u64>,
}

impl Ids {
    pub(in crate::store) fn get(&self, row: usize) -> Uuid {
        let logged = timestamp(self.logged.get(row)).0;
        let time = logged.wrapping_add(unzigzag(self.time.get(row))).cast_unsigned();
        let node = usize::try_from(self.node.get(row)).ok().and_then(|at| self.nodes.get(at));
        Id { time, count: self.count.get(row), node: node.copied().unwrap_or(0) }.into()
    }

    /// How many rows are not above `id`.
    pub(in crate::store) fn through(&self, id: Uuid) -> usize {
        partition_point(0..self.logged.len, |row| self.get(row) <= id)
    }

    /// The row of that id.
    pub(in crate::store) fn find(&self, id: Uuid) -> Option<usize> {
        let row = self.through(id).checked_sub(1)?;
        (self.get(row) == id).then_some(row)
    }
}
