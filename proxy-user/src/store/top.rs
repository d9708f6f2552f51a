//! What there is most of.

use std::{cmp::Reverse, hash::BuildHasher};

use super::{
    Count, Filter, Store, StoreError,
    block::{Client, Column, Reader},
    counting::{TOP, tally},
    select::Selected,
};
use crate::record::{KeyedMap, Source};

/// Different clients that are counted at a time: some 40 MiB.
const MOST: usize = if cfg!(test) { 5 } else { 1 << 20 };

/// How many there are of each value.
#[derive(Default)]
pub(super) struct Counts(KeyedMap<String, u64>);

impl Counts {
    pub(super) fn count(&mut self, value: String, count: u64) {
        if count > 0 {
            *self.0.entry(value).or_default() += count;
        }
    }

    /// Counts by places in a dictionary; what has no value is not counted.
    pub(super) fn add(&mut self, counts: &[u64], value: impl Fn(usize) -> Option<String>) {
        for (code, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            if let Some(value) = value(code) {
                self.count(value, *count);
            }
        }
    }

    pub(super) fn into_top(self, most: usize) -> Vec<Count> {
        top(self.0.into_iter(), most)
    }
}

/// The most frequent first, equal ones by their names.
fn top(all: impl Iterator<Item = (String, u64)>, most: usize) -> Vec<Count> {
    let mut all: Vec<Count> = all.map(|(value, count)| Count { value, count }).collect();
    all.sort_by(|a, b| (Reverse(a.count), &a.value).cmp(&(Reverse(b.count), &b.value)));
    all.truncate(most);
    all
}

/// How many records there are of each client, of one part of all clients.
pub(super) struct Sources {
    counts: KeyedMap<Client, u64>,
    hasher: foldhash::fast::FixedState,
    part: u64,
    parts: u64,
    is_too_many: bool,
}

impl Sources {
    /// Of the `part`th of so many parts.
    pub(super) fn of(part: u64, parts: u64) -> Self {
        let hasher = foldhash::fast::FixedState::default();
        Self { counts: KeyedMap::default(), hasher, part, parts, is_too_many: false }
    }

    pub(super) fn add(
        &mut self,
        reader: Reader<'_>,
        selected: &Selected,
    ) -> Result<(), StoreError> {
        if self.is_too_many {
            return Ok(());
        }
        let sources = reader.sources()?;
        let counts = tally(reader, selected, Column::Source)?;
        for (code, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let Some(client) = sources.get(code) else { continue };
            if self.parts > 1 && self.hasher.hash_one(client) % self.parts != self.part {
                continue;
            }
            *self.counts.entry(client).or_default() += count;
        }
        self.is_too_many = self.counts.len() > MOST;
        Ok(())
    }

    /// `None`: there are too many.
    pub(super) fn into_top(self, most: usize) -> Option<Vec<Count>> {
        if self.is_too_many {
            return None;
        }
        // Names are made of the most frequent, and of those equal to the last of them.
        let mut counts: Vec<Reverse<u64>> = self.counts.values().map(|n| Reverse(*n)).collect();
        let least = match most.checked_sub(1) {
            Some(last) if last < counts.len() => counts.select_nth_unstable(last).1.0,
            _ => 0,
        };
        let best = self.counts.into_iter().filter(|(_, count)| *count >= least);
        let named = |(client, count)| (Source::from(client).to_string(), count);
        Some(top(best.map(named), most))
    }
}

impl Store {
    /// The clients of most records, where they are too many to be counted at once: a part of
    /// them at a time.
    pub(super) fn top_sources(&self, filter: &Filter) -> Result<Vec<Count>, StoreError> {
        let mut parts = 4;
        loop {
            if let Some(best) = self.top_of_parts(filter, parts)? {
                return Ok(best);
            }
            parts *= 4;
        }
    }

    /// `None`: there are too many in one of so many parts.
    fn top_of_parts(&self, filter: &Filter, parts: u64) -> Result<Option<Vec<Count>>, StoreError> {
        let mut best = Vec::new();
        for part in 0..parts {
            let mut sources = Sources::of(part, parts);
            self.visit(filter, |reader, selected| sources.add(reader, selected))?;
            let Some(top) = sources.into_top(TOP) else { return Ok(None) };
            best.extend(top.into_iter().map(|one| (one.value, one.count)));
        }
        Ok(Some(top(best.into_iter(), TOP)))
    }
}
