//! Flows whose records are committed: many in a row of their table, since a row for
//! each costs more than its record, and in memory which flow is in which row.

use std::collections::BTreeMap;

use redb::{ReadableTable, Table, WriteTransaction};

use super::{
    StoreError,
    file::{NOTED, NOTED_1, RecordsFile, table},
    notes::{FLOW_BYTES, flow_bytes, flow_from},
};
use crate::record::{FlowId, KeyedMap};

/// Flows of one row: they fill a page of redb's.
const MOST_PER_ROW: usize = 80;

/// What is noted in a file that is written. Changed with the transaction that changes
/// the file: where that fails, the file is closed, and this is read anew.
#[derive(Debug, Default)]
pub(super) struct Noted {
    rows: KeyedMap<FlowId, u64>,
    /// Flows that are left of each row.
    left: BTreeMap<u64, usize>,
}

impl Noted {
    pub(super) fn read(file: &RecordsFile) -> Result<Self, StoreError> {
        file.read(|read| {
            let mut noted = Self::default();
            if let Some(table) = table(read, NOTED)? {
                for row in table.iter()? {
                    let (number, flows) = row?;
                    noted.add(number.value(), flows_from(flows.value()));
                }
            }
            Ok(noted)
        })
    }

    fn add(&mut self, row: u64, flows: impl Iterator<Item = FlowId>) {
        for flow in flows {
            self.rows.insert(flow, row);
            *self.left.entry(row).or_default() += 1;
        }
    }

    /// Every flow that is noted.
    pub(super) fn flows(&self) -> impl Iterator<Item = FlowId> {
        self.rows.keys().copied()
    }

    /// Whether one of these flows is noted.
    pub(super) fn has_any(&self, flows: &[FlowId]) -> bool {
        flows.iter().any(|flow| self.rows.contains_key(flow))
    }

    fn next_row(&self) -> u64 {
        self.left.last_key_value().map_or(0, |(row, _)| row + 1)
    }
}

/// Flows that are noted in a file, also one of format 1, where each had a row.
pub(super) fn of_any_format(file: &RecordsFile) -> Result<Vec<FlowId>, StoreError> {
    let mut flows: Vec<FlowId> = Noted::read(file)?.flows().collect();
    file.read(|read| {
        let Some(table) = table(read, NOTED_1)? else { return Ok(()) };
        for row in table.iter()? {
            flows.extend(flows_from(row?.0.value()));
        }
        Ok(())
    })?;
    Ok(flows)
}

/// The table of noted flows, while it is written.
pub(super) struct Noting<'a> {
    table: Table<'a, u64, &'static [u8]>,
    noted: &'a mut Noted,
    /// The row that is being filled.
    number: u64,
    row: Vec<u8>,
}

impl<'a> Noting<'a> {
    pub(super) fn open(
        write: &'a WriteTransaction,
        noted: &'a mut Noted,
    ) -> Result<Self, redb::Error> {
        let (table, number) = (write.open_table(NOTED)?, noted.next_row());
        Ok(Self { table, noted, number, row: Vec::new() })
    }

    /// Notes a flow. False: it is noted.
    pub(super) fn note(&mut self, flow: FlowId) -> Result<bool, redb::Error> {
        use std::collections::hash_map::Entry;
        match self.noted.rows.entry(flow) {
            Entry::Occupied(_) => return Ok(false),
            Entry::Vacant(free) => free.insert(self.number),
        };
        self.row.extend(flow_bytes(&flow));
        if self.row.len() == MOST_PER_ROW * FLOW_BYTES {
            self.flush()?;
        }
        Ok(true)
    }

    /// Writes the row that is being filled.
    pub(super) fn flush(&mut self) -> Result<(), redb::Error> {
        if !self.row.is_empty() {
            self.table.insert(self.number, self.row.as_slice())?;
            self.noted.left.insert(self.number, self.row.len() / FLOW_BYTES);
            self.number += 1;
            self.row.clear();
        }
        Ok(())
    }

    /// Removes the notes of these flows, where there are any. Those that are committed
    /// together are mostly forgotten together, and their rows go whole.
    pub(super) fn forget(&mut self, flows: &[FlowId]) -> Result<(), redb::Error> {
        self.flush()?;
        let mut touched = Vec::new();
        for row in flows.iter().filter_map(|flow| self.noted.rows.remove(flow)) {
            if let Some(left) = self.noted.left.get_mut(&row) {
                *left -= 1;
            }
            if touched.last() != Some(&row) {
                touched.push(row);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().try_for_each(|row| self.rewrite(row))
    }

    fn rewrite(&mut self, row: u64) -> Result<(), redb::Error> {
        if self.noted.left.get(&row) == Some(&0) {
            self.noted.left.remove(&row);
            self.table.remove(row)?;
            return Ok(());
        }
        let mut left = Vec::new();
        if let Some(flows) = self.table.get(row)? {
            let noted = |flow: &FlowId| self.noted.rows.get(flow) == Some(&row);
            left.extend(flows_from(flows.value()).filter(noted).flat_map(|f| flow_bytes(&f)));
        }
        self.table.insert(row, left.as_slice())?;
        Ok(())
    }
}

fn flows_from(row: &[u8]) -> impl Iterator<Item = FlowId> {
    row.chunks_exact(FLOW_BYTES).filter_map(flow_from)
}
