//! Ranges of addresses within which several tables each have one answer.

use std::collections::HashMap;

use super::ranges::{Place, Runs};

/// Every address of a family, and what each of several tables says of it.
pub(super) struct Partition<P> {
    /// Where ranges begin, and which of `answers` holds there. The first begins at the
    /// family's first address.
    pub(super) ranges: Vec<(P, u32)>,
    /// A table's answer each, in the order of the tables.
    pub(super) answers: Vec<Box<[u16]>>,
}

impl<P: Place> Partition<P> {
    /// By one table.
    fn of(runs: Runs<P>) -> Self {
        let mut numbers = Numbers::default();
        let ranges =
            runs.into_iter().map(|(first, answer)| (first, numbers.of(answer, || [answer].into())));
        Self { ranges: ranges.collect(), answers: numbers.answers }
    }

    /// By several tables. They are joined in pairs, and pairs of these: so the ranges of one
    /// table are gone through as often as the number of tables has digits, not for each.
    pub(super) fn by(tables: Vec<Runs<P>>) -> Self {
        let mut parts: Vec<Self> = tables.into_iter().map(Self::of).collect();
        while parts.len() > 1 {
            let mut joined = Vec::with_capacity(parts.len().div_ceil(2));
            let mut rest = parts.into_iter();
            while let Some(first) = rest.next() {
                joined.push(match rest.next() {
                    Some(second) => first.joined(&second),
                    None => first,
                });
            }
            parts = joined;
        }
        parts
            .pop()
            .unwrap_or_else(|| Self { ranges: vec![(P::FIRST, 0)], answers: vec![[].into()] })
    }

    fn joined(self, other: &Self) -> Self {
        let mut numbers = Numbers::default();
        let mut ranges: Vec<(P, u32)> = Vec::with_capacity(self.ranges.len() + other.ranges.len());
        let (mut own, mut others) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut at = (0, 0);
        loop {
            // Where the next range of either begins.
            let first = match (own.peek(), others.peek()) {
                (Some((a, _)), Some((b, _))) => *a.min(b),
                (Some((one, _)), None) | (None, Some((one, _))) => *one,
                (None, None) => break,
            };
            if let Some((_, answer)) = own.next_if(|(begins, _)| *begins == first) {
                at.0 = *answer;
            }
            if let Some((_, answer)) = others.next_if(|(begins, _)| *begins == first) {
                at.1 = *answer;
            }
            let number = numbers.of(at, || {
                [&*self.answers[at.0 as usize], &*other.answers[at.1 as usize]].concat().into()
            });
            if ranges.last().is_none_or(|(_, before)| *before != number) {
                ranges.push((first, number));
            }
        }
        Self { ranges, answers: numbers.answers }
    }
}

/// Numbers for what is told apart.
struct Numbers<K> {
    known: HashMap<K, u32, foldhash::fast::RandomState>,
    answers: Vec<Box<[u16]>>,
}

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Self { known: HashMap::default(), answers: Vec::new() }
    }
}

impl<K: std::hash::Hash + Eq> Numbers<K> {
    fn of(&mut self, key: K, answers: impl FnOnce() -> Box<[u16]>) -> u32 {
        let Self { known, answers: all } = self;
        *known.entry(key).or_insert_with(|| {
            all.push(answers());
            // There are no more of them than ranges, which would fill the memory before.
            u32::try_from(all.len() - 1).unwrap_or(u32::MAX)
        })
    }
}
