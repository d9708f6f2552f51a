//! From the first packet to an established flow.
//!
//! The host's own packets decide: its SYN-ACK says which SYN it took, and what it
//! sends after that says that the handshake is complete for it. The client's ACK says
//! so earlier, where it fits.

use aya_ebpf::bindings::BPF_NOEXIST;
use proxy_common::{
    address::{FlowKey, PROTOCOL_UDP},
    flow::FlowState,
    outcome::Outcome,
    packet::{Packet, Segment},
    tables::Listener,
    tcp::{Cells, Direction},
};

use crate::{
    atomics::Shared,
    exit::count,
    ingress::{Step, closed},
    lookup::{is_local, listener, now, precisely_now},
    maps::{FLOWS, FRESH, HALF_OPEN},
    newcomer::Newcomer,
    plane,
};

/// The half-open flow of a client's packet that opens none itself.
#[inline(always)]
pub fn under_way(packet: &Packet, key: &FlowKey) -> Option<&'static mut FlowState> {
    if packet.protocol == PROTOCOL_UDP || packet.segment.opens() { None } else { handshake(key) }
}

/// Follows an admitted SYN, or another admitted packet that belongs to no flow. Whether it
/// is to be forwarded.
#[inline(always)]
pub fn inbound(newcomer: &Newcomer<'_>) -> bool {
    let Newcomer { packet, key, admitted, .. } = newcomer;
    let segment = &packet.segment;
    if segment.opens() {
        if !gives_way(segment, key) {
            return false;
        }
        if plane::open(newcomer) {
            return true;
        }
    } else if admitted.listener.has(Listener::FORWARDED) && plane::is_translated(key) {
        // Of a flow that is over, and lingers.
        return true;
    }
    let Some(fresh) = fresh() else { return false };
    if segment.opens() {
        *fresh = FlowState::opening(segment, precisely_now());
    } else if segment.flags & (Segment::SYN | Segment::FIN | Segment::RST | Segment::ACK)
        == Segment::ACK
    {
        *fresh = FlowState::midway(segment, precisely_now());
    } else {
        return false;
    }
    fresh.note(&admitted.judgement);
    begin(key, fresh, &admitted.listener, admitted.generation);
    false
}

/// Whether the half-open flow that may be there makes room for another SYN.
#[inline(always)]
fn gives_way(syn: &Segment, key: &FlowKey) -> bool {
    let Some(half) = half_open(key) else { return true };
    if half.is_same_opening(syn) {
        Shared::add(&mut half.up.packets, u64::from(syn.packets));
        return false;
    }
    // Another SYN ends no handshake under way (RFC 9293, 3.10.7.4): should the host take
    // it all the same, its SYN-ACK says so.
    !half.is_answered()
}

/// The half-open flow of a 5-tuple.
#[inline(always)]
fn half_open(key: &FlowKey) -> Option<&'static mut FlowState> {
    // SAFETY: a map value, valid memory for the program's run.
    HALF_OPEN.get_ptr_mut(key).map(|half| unsafe { &mut *half })
}

/// The handshake of a 5-tuple that is under way, here or with a target.
#[inline(always)]
fn handshake(key: &FlowKey) -> Option<&'static mut FlowState> {
    half_open(key).or_else(|| plane::dialled(key))
}

/// Room for a new flow's state.
#[inline(always)]
pub fn fresh() -> Option<&'static mut FlowState> {
    // SAFETY: this CPU's own map value, which no other program uses meanwhile.
    FRESH.get_ptr_mut(0).map(|state| unsafe { &mut *state })
}

/// Puts a new flow among the half-open ones.
#[inline(always)]
fn begin(key: &FlowKey, half: &mut FlowState, listener: &Listener, generation: u32) {
    half.serve(listener, generation);
    // The map forgets its oldest; it is never full.
    let _ = HALF_OPEN.insert(key, &*half, 0);
}

/// A further packet of the client's on a half-open flow.
#[inline(always)]
pub fn advance(packet: &Packet, key: &FlowKey, half: &mut FlowState) -> Step {
    let segment = &packet.segment;
    let forwarded = half.has(FlowState::FORWARDED);
    if forwarded && let Some(outcome) = plane::stays(packet) {
        return Step::Exit(outcome);
    }
    if half.has(FlowState::PARTIAL) {
        half.on_segment::<Shared>(Direction::Up, segment, now());
    } else if half.completes(segment) {
        establish(key, half, Direction::Up, segment);
    }
    if forwarded { Step::Forward } else { Step::Exit(Outcome::Admitted) }
}

/// The host's packet on a flow that is not established: its SYN-ACK, its refusal, or
/// the segment that shows that it is established for the host.
#[inline(never)]
pub fn outbound(packet: &Packet, key: &FlowKey, generation: u32) -> Outcome {
    let segment = &packet.segment;
    let half = handshake(key);
    if segment.has(Segment::RST) {
        return match half {
            None => Outcome::NotOurs,
            Some(half) if half.has(FlowState::FORWARDED) => plane::refused(key, half, segment),
            Some(_) => {
                let _ = HALF_OPEN.remove(key);
                Outcome::Refused
            }
        };
    }
    if segment.has(Segment::SYN | Segment::ACK) {
        return answer(packet, key, half, generation);
    }
    let Some(half) = half else {
        return Outcome::NotOurs;
    };
    if segment.has(Segment::ACK) {
        if !half.has(FlowState::PARTIAL) && !half.is_answered() {
            half.turn_partial(segment);
        }
        establish(key, half, Direction::Down, segment);
    }
    Outcome::Flow
}

/// The host's SYN-ACK. Where it answers no SYN that was seen (it came in pieces, or was
/// pushed out), the flow begins here, and its client is judged with its next packet.
#[inline(always)]
fn answer(
    packet: &Packet,
    key: &FlowKey,
    mut half: Option<&'static mut FlowState>,
    generation: u32,
) -> Outcome {
    let segment = &packet.segment;
    if let Some(half) = &mut half
        && half.is_answered_by(segment)
    {
        half.answer(segment);
        return Outcome::Flow;
    }
    if half.is_some() && plane::answered_anew(key, segment) {
        return Outcome::Flow;
    }
    // One that this host only routes is another's.
    if !is_local(&packet.source) {
        return Outcome::NotOurs;
    }
    let Some(listener) = listener(generation, &packet.source, packet.source_port, packet.protocol)
    else {
        return Outcome::NotOurs;
    };
    if let Some(fresh) = fresh() {
        *fresh = FlowState::answered(segment, precisely_now());
        begin(key, fresh, listener, 0);
    }
    Outcome::Flow
}

/// Moves a half-open flow among the established ones and counts `segment` there.
#[inline(never)]
fn establish(key: &FlowKey, half: &mut FlowState, direction: Direction, segment: &Segment) {
    half.flags |= FlowState::ESTABLISHED;
    let opened = FLOWS.insert(key, &*half, BPF_NOEXIST.into()).is_ok();
    let Some(flow) = FLOWS.get_ptr_mut(key) else {
        count(Outcome::FlowsFull);
        return;
    };
    if opened {
        count(Outcome::Opened);
    }
    if half.has(FlowState::FORWARDED) {
        if opened {
            plane::began(half);
        }
        plane::established(key);
    } else {
        let _ = HALF_OPEN.remove(key);
    }
    // SAFETY: a map value, valid memory for the program's run.
    let flow = unsafe { &mut *flow };
    if flow.on_segment::<Shared>(direction, segment, now()) {
        closed(key, flow);
    }
}
