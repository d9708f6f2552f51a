//! Copies of the records, from the store, in order, at least once.

mod jsonl;
mod message;
mod position;
mod stream;
mod syslog;

use std::path::Path;

use uuid::Uuid;

use self::{jsonl::Jsonl, position::Position, syslog::Syslog};
use super::{Filter, Store, StoreError};
use crate::{
    config::{self, SinkKind},
    record::Record,
};

/// Records of one step.
const MOST: usize = 1000;

/// Where copies go.
trait Outlet: Send {
    /// Hands records over. What had an error is handed over again, perhaps to another end.
    fn write(&mut self, records: &[Record]) -> Result<(), StoreError>;

    /// Begins anew with the next records: the file was rotated, or the other end is gone.
    fn reopen(&mut self);

    /// Of what was handed over before and may be lost all the same, the first; it was handed
    /// over to an end that is gone.
    fn lost_from(&mut self) -> Option<Uuid> {
        None
    }
}

/// A sink that is written, and how far it came.
pub struct SinkWriter {
    outlet: Box<dyn Outlet>,
    filter: Filter,
    position: Position,
}

impl SinkWriter {
    /// The sink of that configuration; it goes on where it stopped.
    pub fn new(settings: &config::Sink, data_dir: &Path) -> Self {
        let outlet: Box<dyn Outlet> = match &settings.kind {
            SinkKind::JsonlFile(path) => Box::new(Jsonl::to_file(path)),
            SinkKind::JsonlStdout => Box::new(Jsonl::to_stdout()),
            SinkKind::Syslog(address) => Box::new(Syslog::to(address)),
        };
        Self {
            outlet,
            filter: Filter { verdict: settings.verdicts.clone(), ..Filter::default() },
            position: Position::read(settings, data_dir),
        }
    }

    /// Opens the file anew with the next record: it was rotated. A connection is made anew.
    pub fn reopen(&mut self) {
        self.outlet.reopen();
    }

    /// Copies what came up to `through`, at most so many records at a time. Gives how many
    /// were copied; fewer than asked for means none is left.
    pub fn step(&mut self, store: &Store, through: Uuid) -> Result<usize, StoreError> {
        let records = store.after(self.position.get(), through, &self.filter, MOST)?;
        let written = self.outlet.write(&records);
        if let Some(lost) = self.outlet.lost_from() {
            // From just before it on, all are handed over again.
            self.position.set(Uuid::from_u128(lost.as_u128().saturating_sub(1)))?;
        }
        written?;
        let done = records.len() < MOST;
        let reached = if done { Some(through) } else { records.last().map(|record| record.id) };
        if let Some(reached) = reached.filter(|reached| Some(*reached) > self.position.get()) {
            self.position.set(reached)?;
        }
        Ok(records.len())
    }

    /// The last record that was looked at.
    pub fn position(&self) -> Option<Uuid> {
        self.position.get()
    }

    /// Whether a step came up to `through` already.
    pub fn is_at(&self, through: Uuid) -> bool {
        self.position.get() >= Some(through)
    }
}
