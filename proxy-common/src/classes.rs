//! From an address to its class: one search, however many prefixes and countries there are.
//!
//! The daemon cuts the address space into ranges within which every service says the same
//! of every address. What is said is a class; a range names its class. The kernel programs
//! and the daemon find the range in the same words by the same functions.
//!
//! Words lie in chunks, which are elements of kernel arrays: to fetch one is a call, to read
//! within one is not.

#![expect(
    clippy::cast_possible_truncation,
    reason = "what is cut out of words has room, and so have sizes of chunks"
)]

use crate::address::Address;

/// Number of a class. What is said of it at a service stands at that place of the service's
/// verdicts.
pub type Class = u16;

/// Words of a chunk for IPv4.
pub const WORDS4: usize = 1 << 16;
/// Words of a chunk for IPv6.
pub const WORDS6: usize = 1 << 13;
/// Verdicts of a chunk.
pub const VERDICTS: usize = 1 << 11;

/// A chunk of ranges of IPv4: each word is a range's first address, of which the /16 is known,
/// and below that its [`Class`].
pub type Chunk4 = [u32; WORDS4];
/// A chunk of the tree for IPv6.
pub type Chunk6 = [u64; WORDS6];
/// A chunk of [`crate::verdict::Verdict`]s as numbers.
pub type ChunkVerdicts = [u16; VERDICTS];

/// Ranges that are searched in one go, in 64 bytes: a cache line.
pub const LINE4: usize = 16;
/// Lines that [`Root4::block`] can name: 32 MiB.
pub const MAX_LINES4: u32 = 1 << LINE_BITS;
const LINE_BITS: u32 = 19;
const LINES_OF_CHUNK4: u32 = (WORDS4 / LINE4) as u32;

/// Children of a node for IPv6. A child's word is the last address before it, and the last one
/// of all where there is no such child; the first child's is not read.
pub const NODE6: usize = 8;
/// Ranges in a leaf for IPv6.
pub const LEAF6: usize = 10;
/// Words of a leaf: as many first addresses as there are ranges, then what is there, two to
/// a word.
pub const LEAF_WORDS6: usize = 16;
/// Levels of nodes above the leaves: more leaves than fit into a generation.
pub const MAX_LEVELS6: usize = 7;

/// Where the search begins for IPv4: what is known of each /16.
pub type Roots4 = [Root4; 1 << 16];

/// What is known of a /16: its class, or where its ranges are.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root4(u32);

impl Root4 {
    /// All of it is of one class.
    pub const fn uniform(class: Class) -> Self {
        Self(class as u32)
    }

    /// Its ranges are in so many lines (at least one, at most 4,096) of one chunk from
    /// `first` on, which is below [`MAX_LINES4`].
    pub const fn block(first: u32, lines: u32) -> Self {
        Self(lines << LINE_BITS | first)
    }
}

/// The tree for IPv6: of the upper 64 bits first, which mostly tell.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Root6 {
    /// Levels of nodes above the leaves.
    pub levels: u32,
    /// Where each level begins, from the top, in words; then the leaves.
    pub starts: [u32; MAX_LEVELS6 + 1],
}

const _: () = assert!(size_of::<Root6>() == 36);

/// In place of a class: addresses of this /64 differ. The other bits say where its own
/// ranges are, in words: how many begin within it, their lower 64 bits, and the classes,
/// four to a word; the first is that of the addresses before.
pub const DEEP: u32 = 1 << 31;

/// Where words are: kernel maps, or the daemon's memory.
pub trait Chunks {
    /// A chunk for IPv4.
    fn chunk4(&self, number: u32) -> Option<&Chunk4>;
    /// A chunk for IPv6.
    fn chunk6(&self, number: u32) -> Option<&Chunk6>;
}

/// The class of an address. `None` where words are missing.
pub fn class_of<C: Chunks>(
    (roots4, root6): (&Roots4, &Root6),
    chunks: &C,
    address: &Address,
) -> Option<Class> {
    match address.as_v4() {
        Some(octets) => class_of_v4(roots4, chunks, u32::from_be_bytes(octets)),
        None => class_of_v6(root6, chunks, address.words().map(u64::from_be)),
    }
}

/// The class of an IPv4 address, host byte order.
#[inline(always)]
pub fn class_of_v4<C: Chunks>(roots: &Roots4, chunks: &C, address: u32) -> Option<Class> {
    let Root4(root) = roots[(address >> 16) as usize];
    let mut lines = root >> LINE_BITS;
    if lines == 0 {
        return Some(root as Class);
    }
    let first = root & (MAX_LINES4 - 1);
    let chunk = chunks.chunk4(first / LINES_OF_CHUNK4)?;
    // The words of ranges that begin up to the address are below this.
    let end = u64::from(address << 16 | 0xffff) + 1;
    let mut place = first % LINES_OF_CHUNK4 * LINE4 as u32;
    for _ in 0..=LINES_OF_CHUNK4.ilog2() {
        if lines <= 1 {
            break;
        }
        let half = lines / 2;
        let step = half * LINE4 as u32;
        place += step * is_below(word4(chunk, place + step), end);
        lines -= half;
    }
    for step in [8, 4, 2, 1] {
        place += step * is_below(word4(chunk, place + step), end);
    }
    Some(word4(chunk, place) as Class)
}

#[inline(always)]
fn word4(chunk: &Chunk4, place: u32) -> u64 {
    u64::from(chunk[place as usize & (WORDS4 - 1)])
}

/// The class of an IPv6 address, by its halves in host byte order.
#[inline(always)]
pub fn class_of_v6<C: Chunks>(root: &Root6, chunks: &C, [upper, lower]: [u64; 2]) -> Option<Class> {
    let mut node = 0;
    for level in 0..MAX_LEVELS6 {
        if level as u32 >= root.levels {
            break;
        }
        let place = root.starts[level] + node * NODE6 as u32;
        let chunk = chunks.chunk6(place / WORDS6 as u32)?;
        let mut child = 0;
        for step in [4, 2, 1] {
            child += step * is_below(word6(chunk, place + child + step), upper);
        }
        node = node * NODE6 as u32 + child;
    }
    let leaf = root.starts[root.levels as usize & MAX_LEVELS6] + node * LEAF_WORDS6 as u32;
    let chunk = chunks.chunk6(leaf / WORDS6 as u32)?;
    let mut range = 0;
    for step in [5, 2, 1, 1] {
        range += step * (1 - is_below(upper, word6(chunk, leaf + range + step)));
    }
    let pair = word6(chunk, leaf + LEAF6 as u32 + range / 2);
    let found = (pair >> (range % 2 * u32::BITS)) as u32;
    if found & DEEP == 0 { Some(found as Class) } else { class_in_64(chunks, found & !DEEP, lower) }
}

#[inline(always)]
fn word6(chunk: &Chunk6, place: u32) -> u64 {
    chunk[place as usize & (WORDS6 - 1)]
}

/// The class of an address of a /64 of several.
#[inline(always)]
fn class_in_64<C: Chunks>(chunks: &C, place: u32, lower: u64) -> Option<Class> {
    let word = |at: u32| Some(word6(chunks.chunk6(at / WORDS6 as u32)?, at));
    let mut left = word(place)? as u32;
    let classes = place + 1 + left;
    // Behind the last range that begins up to the address.
    let mut behind = place + 1;
    for _ in 0..u32::BITS {
        if left == 0 {
            break;
        }
        let half = left.div_ceil(2);
        behind += half * (1 - is_below(lower, word(behind + half - 1)?));
        left -= half;
    }
    let number = behind - place - 1;
    let four = word(classes + number / 4)?;
    Some((four >> (number % 4 * Class::BITS)) as Class)
}

/// 1 where `a < b`. Without a branch: none is mispredicted, and the verifier goes one way
/// through a search, not one for each place where it may end.
#[inline(always)]
const fn is_below(a: u64, b: u64) -> u32 {
    // The borrow of a - b (Hacker's Delight, 2-13).
    (((!a & b) | ((!a | b) & a.wrapping_sub(b))) >> 63) as u32
}
