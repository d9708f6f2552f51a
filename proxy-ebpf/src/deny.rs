//! Denied attempts: counted once each, told to the daemon.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use proxy_common::{
    attempt,
    event::{DeniedEvent, KIND_DENIED},
    outcome::Outcome,
    packet::Packet,
    reason::Reason,
    tables::{DenialCount, Listener, Root, denial_index},
};

use crate::{
    atomics::{exchange, fetch_add},
    exit::count,
    ingress::Arrival,
    lookup::now,
    maps::{ATTEMPTS, DENIALS, EVENTS, QUIETLY},
};

const NANOSECONDS: u64 = 1_000_000_000;

/// Counts a denied packet, and the attempt where it is a new one.
#[inline(never)]
pub fn deny(
    packet: &Packet,
    root: &Root,
    listener: &Listener,
    reason: Reason,
    arrival: &Arrival,
) -> Outcome {
    let time = now();
    let Some(cell) = DENIALS.get_ptr_mut(denial_index(listener.service, reason)) else {
        return Outcome::Denied;
    };
    // SAFETY: a map value, valid for the program's run.
    let counts: &mut DenialCount = unsafe { &mut *cell };
    fetch_add(&mut counts.packets, 1);
    let repeat = is_repeat(packet, root, time);
    if repeat && !listener.has(Listener::RESET) {
        return Outcome::Denied;
    }
    let ordinal = if repeat { 0 } else { fetch_add(&mut counts.attempts, 1) + 1 };
    announce(packet, listener, reason, arrival, ordinal, time);
    Outcome::Denied
}

#[inline(always)]
fn is_repeat(packet: &Packet, root: &Root, time: u64) -> bool {
    // Only an opening segment has an initial sequence number; other stray packets
    // of one 5-tuple are one attempt.
    let sequence = if packet.segment.opens() { packet.segment.sequence } else { 0 };
    let mark = attempt::mark(&root.hash_key, &packet.key_inbound(), sequence, time / NANOSECONDS);
    match ATTEMPTS.get_ptr_mut(mark.slot) {
        Some(slot) => attempt::is_repeat(mark, exchange(slot, mark.word)),
        None => false,
    }
}

#[inline(always)]
fn announce(
    packet: &Packet,
    listener: &Listener,
    reason: Reason,
    arrival: &Arrival,
    ordinal: u64,
    time: u64,
) {
    let Some(mut event) = EVENTS.reserve::<DeniedEvent>(0) else {
        count(Outcome::RingFull);
        return;
    };
    event.write(DeniedEvent {
        kind: KIND_DENIED,
        // SAFETY: the helper has no preconditions.
        cpu: unsafe { bpf_get_smp_processor_id() },
        ordinal,
        time,
        key: packet.key_inbound(),
        segment: packet.segment,
        service: listener.service,
        reason: reason as u8,
        hook: arrival.hook as u8,
        interface: arrival.interface,
    });
    event.submit(QUIETLY);
}
