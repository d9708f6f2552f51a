//! Ranges of addresses within which several tables each have one answer.

use std::collections::HashMap;

use super::{
    error::{Excess, MAX_BYTES},
    ranges::{Place, Runs},
};

/// Answers that are kept at a time: for more, a policy could take all of the memory before its
/// size is known.
const MAX_ANSWERS: usize = MAX_BYTES / size_of::<u16>();

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
    fn of(runs: Runs<P>) -> Result<Self, Excess> {
        let mut numbers = Numbers::of_tables(1);
        let ranges = runs
            .into_iter()
            .map(|(first, answer)| Ok((first, numbers.of(answer, || [answer].into())?)))
            .collect::<Result<_, _>>()?;
        Ok(Self { ranges, answers: numbers.answers })
    }

    /// By several tables. They are joined in pairs, and pairs of these: so the ranges of one
    /// table are gone through as often as the number of tables has digits, not for each.
    ///
    /// # Errors
    /// The tables' answers differ in too many ways.
    pub(super) fn by(tables: Vec<Runs<P>>) -> Result<Self, Excess> {
        let mut parts: Vec<Self> = tables.into_iter().map(Self::of).collect::<Result<_, _>>()?;
        while parts.len() > 1 {
            let mut joined = Vec::with_capacity(parts.len().div_ceil(2));
            let mut rest = parts.into_iter();
            while let Some(first) = rest.next() {
                joined.push(match rest.next() {
                    Some(second) => first.joined(&second)?,
                    None => first,
                });
            }
            parts = joined;
        }
        let none = || Self { ranges: vec![(P::FIRST, 0)], answers: vec![[].into()] };
        Ok(parts.pop().unwrap_or_else(none))
    }

    /// How many tables this is by.
    fn tables(&self) -> usize {
        self.answers.first().map_or(0, |answers| answers.len())
    }

    fn joined(self, other: &Self) -> Result<Self, Excess> {
        let mut numbers = Numbers::of_tables(self.tables() + other.tables());
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
            })?;
            if ranges.last().is_none_or(|(_, before)| *before != number) {
                ranges.push((first, number));
            }
        }
        Ok(Self { ranges, answers: numbers.answers })
    }
}

/// Numbers for what is told apart.
struct Numbers<K> {
    known: HashMap<K, u32, foldhash::fast::RandomState>,
    answers: Vec<Box<[u16]>>,
    tables: usize,
}

impl<K: std::hash::Hash + Eq> Numbers<K> {
    fn of_tables(tables: usize) -> Self {
        Self { known: HashMap::default(), answers: Vec::new(), tables }
    }

    fn of(&mut self, key: K, answers: impl FnOnce() -> Box<[u16]>) -> Result<u32, Excess> {
        if let Some(number) = self.known.get(&key) {
            return Ok(*number);
        }
        let next = self.answers.len();
        let fits = (next + 1) * self.tables <= MAX_ANSWERS;
        let number = u32::try_from(next).ok().filter(|_| fits);
        let number = number.ok_or(Excess::Overlaps { lists: self.tables })?;
        self.known.insert(key, number);
        self.answers.push(answers());
        Ok(number)
    }
}
