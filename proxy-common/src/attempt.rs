//! Telling denied attempts apart.
//!
//! An attempt is one 5-tuple, and for TCP one initial sequence number, until
//! [`LIFETIME_SECONDS`] pass without a packet of it. The kernel keeps one word
//! per slot of a direct-mapped table: a keyed tag and the second it was last
//! seen. One exchange both looks up and refreshes. Two attempts that share a slot
//! push each other out and are counted again; none is ever missed.

use crate::address::FlowKey;

/// Slots of the table, a power of two.
pub const SLOTS: u32 = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 18;
/// SPEC 5: how long an attempt lives without a packet.
pub const LIFETIME_SECONDS: u64 = 120;

const SECONDS_BITS: u32 = 18;
const SECONDS_MASK: u64 = (1 << SECONDS_BITS) - 1;

/// An attempt's place in the table and the word that stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Index below [`SLOTS`].
    pub slot: u32,
    /// Tag and second; 0 is an empty slot.
    pub word: u64,
}

/// The mark of an attempt at `now_seconds` of the monotonic clock.
#[inline(always)]
pub fn mark(hash_key: &[u64; 2], key: &FlowKey, sequence: u32, now_seconds: u64) -> Mark {
    let hash = hash(hash_key, key, sequence);
    Mark {
        slot: (hash >> (64 - SLOT_BITS)) as u32,
        // The slot's own bits leave the tag, the seconds take their place.
        word: (hash << SLOT_BITS) | (now_seconds & SECONDS_MASK),
    }
}

/// Whether `previous`, the word exchanged out of the slot, is the same attempt.
#[inline(always)]
pub fn is_repeat(mark: Mark, previous: u64) -> bool {
    let same = (mark.word ^ previous) & !SECONDS_MASK == 0;
    let age = (mark.word.wrapping_sub(previous)) & SECONDS_MASK;
    previous != 0 && same && age < LIFETIME_SECONDS
}

/// A keyed 64-bit hash: without the key nobody can choose attempts that collide.
#[inline(always)]
fn hash(key: &[u64; 2], flow: &FlowKey, sequence: u32) -> u64 {
    let client = flow.client.words();
    let service = flow.service.words();
    let ports = u64::from(flow.client_port) << 48
        | u64::from(flow.service_port) << 32
        | u64::from(sequence);
    let mut state = key[0];
    for word in [client[0], client[1], service[0], service[1], ports] {
        state = mix(state ^ word, key[1]);
    }
    mix(state ^ u64::from(flow.protocol), key[1])
}

/// Murmur3's finaliser with a key between its rounds.
#[inline(always)]
fn mix(mut word: u64, key: u64) -> u64 {
    word = (word ^ (word >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    word = (word ^ key ^ (word >> 29)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 32)
}

const _: () = assert!(SLOT_BITS == SECONDS_BITS);
