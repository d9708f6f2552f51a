//! The ranges of IPv4 as words.

use proxy_common::classes::{Class, LINE4, Root4, Roots4, WORDS4};

const LINES_OF_CHUNK: usize = WORDS4 / LINE4;

/// What [`proxy_common::classes::class_of`] searches.
pub(super) struct Words4 {
    /// Where it begins.
    pub(super) roots: Box<Roots4>,
    /// Of whole chunks, but for the last.
    pub(super) words: Vec<u32>,
}

impl Words4 {
    /// From ranges that begin at 0: where each begins, and its class.
    pub(super) fn of(ranges: &[(u32, Class)]) -> Self {
        let mut written = Self { roots: uniform(), words: Vec::new() };
        let mut class = 0;
        let mut rest = ranges;
        for upper in 0..written.roots.len() {
            let own = rest.partition_point(|(first, _)| (first >> 16) as usize <= upper);
            let (own, after) = rest.split_at(own);
            rest = after;
            // The range that reaches into this /16 from before, unless one begins with it.
            let goes_on = own.first().is_none_or(|(first, _)| first % (1 << 16) != 0);
            let before = goes_on.then_some((0, class));
            class = own.last().map_or(class, |(_, class)| *class);
            let words: Vec<u32> =
                before.iter().chain(own).map(|(first, class)| word(*first, *class)).collect();
            written.roots[upper] =
                if words.len() == 1 { Root4::uniform(class) } else { written.block(&words) };
        }
        written
    }

    /// Writes the ranges of a /16, which never cross from one chunk to the next.
    fn block(&mut self, words: &[u32]) -> Root4 {
        let lines = words.len().div_ceil(LINE4);
        let mut first = self.words.len() / LINE4;
        if first % LINES_OF_CHUNK + lines > LINES_OF_CHUNK {
            first = first.next_multiple_of(LINES_OF_CHUNK);
        }
        self.words.resize(first * LINE4, 0);
        self.words.extend(words);
        // The last range again: whichever of them is found, the class is the same.
        let last = words.last().copied().unwrap_or(0);
        self.words.resize((first + lines) * LINE4, last);
        Root4::block(small(first), small(lines))
    }
}

/// Not through the stack, for which it is large.
fn uniform() -> Box<Roots4> {
    match vec![Root4::uniform(0); size_of::<Roots4>() / size_of::<Root4>()].try_into() {
        Ok(roots) => roots,
        Err(_) => unreachable!("as many as there are"),
    }
}

/// Beyond what a generation may hold this is wrong, and never used.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A range's first address within its /16, and its class.
fn word(first: u32, class: Class) -> u32 {
    first << 16 | u32::from(class)
}
