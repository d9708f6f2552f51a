//! Look-ups in the tables of one generation.

use aya_ebpf::{
    helpers::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns},
    maps::lpm_trie::Key,
};
use proxy_common::{
    address::Address,
    classes::VERDICTS as VERDICTS_OF_CHUNK,
    packet::Packet,
    tables::{Listener, ListenerKey, PORT_WORDS, Root, port_bit},
    verdict::{Judgement, Verdict},
};

use crate::{
    classes::class,
    maps::{LISTENERS, LOCALS4, LOCALS6, PORTS, ROOT, VERDICTS},
};

/// Coarse monotonic clock, nanoseconds.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// Monotonic clock, nanoseconds: what tells two flows of one 5-tuple apart, where the
/// coarse clock may not have moved between them.
#[inline(always)]
pub fn precisely_now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// What is in force for one packet.
#[derive(Clone, Copy)]
pub struct Policy {
    pub root: &'static Root,
    /// The root's, read once.
    pub generation: u32,
}

/// The policy, once a generation is in force.
#[inline(always)]
pub fn policy() -> Option<Policy> {
    let root = ROOT.get(0)?;
    // SAFETY: a map value; one aligned load, which the daemon's update cannot tear.
    let generation = unsafe { core::ptr::read_volatile(&raw const root.generation) };
    (generation != 0).then_some(Policy { root, generation })
}

/// Whether some service may listen on `port` of `protocol`.
#[inline(always)]
pub fn is_served(protocol: u8, port: u16) -> bool {
    let (word, bit) = port_bit(protocol, port);
    PORTS.get(word).is_some_and(|ports| *ports & bit != 0)
}

/// Whether a packet may be what a target answers in a forwarded flow.
#[inline(always)]
pub fn is_answer(root: &Root, protocol: u8, source_port: u16, destination_port: u16) -> bool {
    root.translates(destination_port)
        || root.has(Root::CLIENT_SOURCES) && is_target(protocol, source_port)
}

/// Whether some target that sees its clients' own addresses may have `port` of `protocol`.
#[inline(always)]
fn is_target(protocol: u8, port: u16) -> bool {
    let (word, bit) = port_bit(protocol, port);
    PORTS.get(PORT_WORDS + word).is_some_and(|ports| *ports & bit != 0)
}

/// Who listens on `address` and `port`.
#[inline(always)]
pub fn listener(
    generation: u32,
    address: &Address,
    port: u16,
    protocol: u8,
) -> Option<&'static Listener> {
    let mut key = ListenerKey::wildcard(generation, port, protocol, address.family());
    // SAFETY: the daemon removes entries of a generation a grace period after the last
    // packet that read its number.
    let wildcard = unsafe { LISTENERS.get(&key) }?;
    if wildcard.has(Listener::HAS_ADDRESSES) {
        key.address = *address;
        // SAFETY: as above.
        if let Some(exact) = unsafe { LISTENERS.get(&key) } {
            return Some(exact);
        }
    }
    wildcard.has(Listener::SERVES).then_some(wildcard)
}

/// Whether `address` is one of this host's.
#[inline(always)]
pub fn is_local(address: &Address) -> bool {
    match address.as_v4() {
        Some(octets) => LOCALS4.get(Key::new(32, octets)).is_some(),
        None => LOCALS6.get(Key::new(128, address.octets())).is_some(),
    }
}

/// Judges a packet's source for a listener. Tables that are missing deny nothing
/// here: the relay stands behind, and a generation is complete before it is named.
#[inline(always)]
pub fn verdict(packet: &Packet, listener: &Listener) -> Option<Judgement> {
    if listener.has(Listener::BY_NAME) {
        return Some(Judgement::default());
    }
    let set = listener.set();
    let class = class(set, &packet.source)?;
    let place = listener.verdicts + u32::from(class);
    let chunk = VERDICTS.get_value(set, &(place / VERDICTS_OF_CHUNK as u32))?;
    Some(Verdict(chunk[place as usize % VERDICTS_OF_CHUNK]).peer())
}
