//! The ranges of IPv6 as a tree.

use proxy_common::classes::{Class, DEEP, LEAF_WORDS6, LEAF6, MAX_LEVELS6, NODE6, Root6};

/// What [`proxy_common::classes::class_of`] searches.
pub(super) struct Words6 {
    /// Where the tree begins.
    pub(super) root: Root6,
    /// What lies within a /64 each, then the levels from the top, then the leaves.
    pub(super) words: Vec<u64>,
}

impl Words6 {
    /// From ranges that begin at 0: where each begins, and its class.
    pub(super) fn of(ranges: &[(u128, Class)]) -> Self {
        let mut words = Vec::new();
        let upper = by_upper_half(ranges, &mut words);
        // A leaf lies in one chunk.
        words.resize(words.len().next_multiple_of(LEAF_WORDS6), 0);
        let root = tree(&upper, &mut words);
        Self { root, words }
    }
}

/// Ranges by their upper 64 bits alone, and what is there. Where a /64 is of several classes,
/// its own ranges are written.
fn by_upper_half(ranges: &[(u128, Class)], words: &mut Vec<u64>) -> Vec<(u64, u32)> {
    let mut found: Vec<(u64, u32)> = Vec::with_capacity(ranges.len());
    let mut class = 0;
    // Behind a /64 of several classes its last one goes on.
    let mut goes_on = None;
    for mut own in ranges.chunk_by(|(a, _), (b, _)| a >> 64 == b >> 64) {
        let (upper, lower) = halves(own[0].0);
        if let Some(after) = goes_on.filter(|after| *after < upper) {
            found.push((after, class.into()));
        }
        let last = own[own.len() - 1].1;
        if lower == 0 {
            class = own[0].1;
            own = &own[1..];
        }
        let several = !own.is_empty();
        found.push((upper, if several { several_in_64(class, own, words) } else { class.into() }));
        goes_on = several.then(|| upper.checked_add(1)).flatten();
        class = last;
    }
    found.extend(goes_on.map(|after| (after, class.into())));
    found
}

/// Writes a /64's own ranges, the first of which is of class `before`.
fn several_in_64(before: Class, ranges: &[(u128, Class)], words: &mut Vec<u64>) -> u32 {
    let place = small(words.len()) | DEEP;
    words.push(ranges.len() as u64);
    words.extend(ranges.iter().map(|(first, _)| halves(*first).1));
    let classes: Vec<Class> = [before].into_iter().chain(ranges.iter().map(|r| r.1)).collect();
    words.extend(classes.chunks(4).map(|four| {
        four.iter().rev().fold(0, |word, class| word << Class::BITS | u64::from(*class))
    }));
    place
}

/// Writes the levels above the leaves, and these.
fn tree(ranges: &[(u64, u32)], words: &mut Vec<u64>) -> Root6 {
    // From the leaves up: the first address of each leaf or node.
    let mut levels: Vec<Vec<u64>> = vec![ranges.chunks(LEAF6).map(|leaf| leaf[0].0).collect()];
    while levels.last().is_some_and(|level| level.len() > 1) {
        let below = levels.last().into_iter().flatten().copied();
        levels.push(below.step_by(NODE6).collect());
    }
    let nodes = levels.len() - 1;
    let mut root = Root6 { levels: small(nodes.min(MAX_LEVELS6)), ..Root6::default() };
    let mut starts = root.starts.iter_mut();
    for children in levels.iter().rev().skip(1) {
        note(starts.next(), words);
        for node in children.chunks(NODE6) {
            words.extend((0..NODE6).map(|child| match node.get(child) {
                Some(first) => first.saturating_sub(1),
                None => u64::MAX,
            }));
        }
    }
    // Nodes are half as large as leaves.
    words.resize(words.len().next_multiple_of(LEAF_WORDS6), 0);
    note(starts.next(), words);
    for leaf in ranges.chunks(LEAF6) {
        // The last range again: whichever of them is found, the same is there.
        let at = |place: usize| leaf[place.min(leaf.len() - 1)];
        words.extend((0..LEAF6).map(|place| at(place).0));
        words
            .extend((0..LEAF6 / 2).map(|pair| {
                u64::from(at(2 * pair).1) | u64::from(at(2 * pair + 1).1) << u32::BITS
            }));
        words.push(0);
    }
    root
}

fn note(start: Option<&mut u32>, words: &[u64]) {
    if let Some(start) = start {
        *start = small(words.len());
    }
}

/// Beyond what a generation may hold a place is wrong, and never used.
fn small(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "the halves")]
const fn halves(address: u128) -> (u64, u64) {
    ((address >> 64) as u64, address as u64)
}

const _: () = assert!(LEAF6 + LEAF6 / 2 < LEAF_WORDS6);
