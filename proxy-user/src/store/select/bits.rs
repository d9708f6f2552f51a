//! Which rows of a block, as bits.

use crate::store::block::{GROUP, Packed};

/// Rows of a word.
const WORD: usize = u64::BITS as usize;

/// Which rows of a block.
pub(in crate::store) enum Selected {
    None,
    All,
    Some(Bits),
}

/// A bit for each row, the lowest for the first; beyond the last row none is set.
pub(in crate::store) struct Bits(Vec<u64>);

impl Bits {
    /// The rows whose place in a dictionary is one of `hits`.
    pub(super) fn of_codes(codes: &Packed, hits: &[bool]) -> Self {
        let mut group = [0; GROUP];
        Self::of(codes.len, |place, words| {
            codes.codes(place, &mut group);
            fill(words, |at| hits.get(group[at] as usize).is_some_and(|hit| *hit));
        })
    }

    /// The rows whose place in a dictionary is in `range`.
    pub(super) fn of_range(codes: &Packed, range: &std::ops::Range<usize>) -> Self {
        let small = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        let (from, length) = (small(range.start), small(range.len()));
        let mut group = [0; GROUP];
        Self::of(codes.len, |place, words| {
            codes.codes(place, &mut group);
            fill(words, |at| group[at].wrapping_sub(from) < length);
        })
    }

    /// The rows whose number is one that `is` holds of.
    pub(super) fn of_numbers(numbers: &Packed, is: impl Fn(u64) -> bool) -> Self {
        let mut group = [0; GROUP];
        Self::of(numbers.len, |place, words| {
            numbers.group(place, &mut group);
            fill(words, |at| is(group[at]));
        })
    }

    /// The rows of which `is` holds.
    pub(super) fn of_rows(rows: usize, is: impl Fn(usize) -> bool) -> Self {
        Self::of(rows, |place, words| fill(words, |at| is(place * GROUP + at)))
    }

    fn of(rows: usize, mut group: impl FnMut(usize, &mut [u64])) -> Self {
        let mut words = vec![0; rows.div_ceil(GROUP) * (GROUP / WORD)];
        for (place, words) in words.chunks_exact_mut(GROUP / WORD).enumerate() {
            group(place, words);
        }
        Self(words).within(rows)
    }

    /// Without bits beyond the last row.
    fn within(mut self, rows: usize) -> Self {
        self.0.truncate(rows.div_ceil(WORD));
        if let Some(last) = self.0.last_mut()
            && !rows.is_multiple_of(WORD)
        {
            *last &= (1 << (rows % WORD)) - 1;
        }
        self
    }

    fn combine(mut self, other: &Self, with: impl Fn(u64, u64) -> u64) -> Self {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own = with(*own, *other));
        self
    }

    fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}

fn fill(words: &mut [u64], is: impl Fn(usize) -> bool) {
    for (place, word) in words.iter_mut().enumerate() {
        let bits = (0..WORD).map(|bit| u64::from(is(place * WORD + bit)) << bit);
        *word = bits.fold(0, |word, bit| word | bit);
    }
}

impl Selected {
    /// Rows by how many of a dictionary's entries are meant; only where it is some are
    /// the rows themselves looked at.
    pub(super) fn by<E>(
        hits: usize,
        of: usize,
        rows: impl FnOnce() -> Result<Bits, E>,
    ) -> Result<Self, E> {
        Ok(match hits {
            0 => Self::None,
            all if all == of => Self::All,
            _ => Self::Some(rows()?),
        })
    }

    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::All, other) | (other, Self::All) => other,
            (Self::Some(own), Self::Some(other)) => Self::Some(own.combine(&other, |a, b| a & b)),
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, other) | (other, Self::None) => other,
            (Self::Some(own), Self::Some(other)) => Self::Some(own.combine(&other, |a, b| a | b)),
        }
    }

    /// The others of so many rows.
    pub(super) fn not(self, rows: usize) -> Self {
        match self {
            Self::None => Self::All,
            Self::All => Self::None,
            Self::Some(Bits(mut words)) => {
                for word in &mut words {
                    *word = !*word;
                }
                Self::Some(Bits(words).within(rows))
            }
        }
    }

    /// How many of so many rows.
    pub(in crate::store) fn count(&self, rows: usize) -> usize {
        match self {
            Self::None => 0,
            Self::All => rows,
            Self::Some(bits) => bits.count(),
        }
    }

    /// The rows of a group among so many, as bits.
    pub(in crate::store) fn group(&self, place: usize, rows: usize) -> [u64; GROUP / WORD] {
        std::array::from_fn(|word| {
            let place = place * (GROUP / WORD) + word;
            let left = rows.saturating_sub(place * WORD);
            let possible = if left >= WORD { u64::MAX } else { (1 << left) - 1 };
            match self {
                Self::None => 0,
                Self::All => possible,
                Self::Some(bits) => bits.0.get(place).copied().unwrap_or(0) & possible,
            }
        })
    }
}

/// The places of the bits that are set, from the lowest.
pub(in crate::store) fn set(words: [u64; GROUP / WORD]) -> impl Iterator<Item = usize> {
    words.into_iter().enumerate().flat_map(|(place, mut word)| {
        std::iter::from_fn(move || {
            let bit = word.trailing_zeros() as usize;
            (word != 0).then(|| {
                word &= word - 1;
                place * WORD + bit
            })
        })
    })
}
