//! From the first packet to an established flow.

use proxy_common::{
    address::FlowKey,
    flow::FlowState,
    outcome::Outcome,
    packet::{Packet, Segment},
    tables::Listener,
    tcp::{Cells, Direction},
    verdict::Judgement,
};

use crate::{
    atomics::Shared,
    exit::count,
    ingress::closed,
    lookup::now,
    maps::{FLOWS, HALF_OPEN},
};

/// Follows an admitted packet that belongs to no established flow.
#[inline(always)]
pub fn inbound(
    packet: &Packet,
    key: &FlowKey,
    listener: &Listener,
    judgement: &Judgement,
    generation: u32,
) {
    let segment = &packet.segment;
    if let Some(half) = HALF_OPEN.get_ptr_mut(key) {
        // SAFETY: a map value, valid for the program's run.
        let half = unsafe { &mut *half };
        if segment.opens() && half.is_same_opening(segment) {
            Shared::add(&mut half.up.packets, u64::from(segment.packets));
            return;
        }
        if !segment.opens() {
            advance(segment, key, half);
            return;
        }
    }
    let fresh = if segment.opens() {
        FlowState::opening(segment, now())
    } else if segment.flags & (Segment::SYN | Segment::FIN | Segment::RST | Segment::ACK)
        == Segment::ACK
    {
        FlowState::midway(segment, now())
    } else {
        return;
    };
    begin(key, fresh, listener, judgement, generation);
}

#[inline(always)]
fn begin(
    key: &FlowKey,
    mut half: FlowState,
    listener: &Listener,
    judgement: &Judgement,
    generation: u32,
) {
    half.service = listener.service;
    half.generation = generation;
    half.observed = judgement.observed.map_or(0, |reason| reason as u8);
    if listener.has(Listener::RELAYED) {
        half.flags |= FlowState::RELAYED;
    }
    if judgement.country_exempt {
        half.flags |= FlowState::COUNTRY_EXEMPT;
    }
    // The map forgets its oldest; it is never full.
    let _ = HALF_OPEN.insert(key, &half, 0);
}

/// A further packet of the client's on a half-open flow.
#[inline(always)]
fn advance(segment: &Segment, key: &FlowKey, half: &mut FlowState) {
    if half.has(FlowState::PARTIAL) {
        half.on_segment::<Shared>(Direction::Up, segment, now());
    } else if half.completes(segment) {
        establish(key, half, Direction::Up, segment);
    }
}

/// The host's packet on a half-open flow: its SYN-ACK, its refusal, or the answer
/// that shows a flow met midway to be real.
#[inline(always)]
pub fn outbound(packet: &Packet, key: &FlowKey) -> Outcome {
    let segment = &packet.segment;
    let Some(half) = HALF_OPEN.get_ptr_mut(key) else {
        return Outcome::NotOurs;
    };
    // SAFETY: a map value, valid for the program's run.
    let half = unsafe { &mut *half };
    if segment.has(Segment::RST) {
        let _ = HALF_OPEN.remove(key);
        return Outcome::Refused;
    }
    if segment.has(Segment::SYN | Segment::ACK) {
        half.answer(segment);
    } else if half.has(FlowState::PARTIAL) && segment.has(Segment::ACK) {
        establish(key, half, Direction::Down, segment);
    }
    Outcome::Flow
}

/// Moves a half-open flow among the established ones and counts `segment` there.
#[inline(always)]
fn establish(key: &FlowKey, half: &mut FlowState, direction: Direction, segment: &Segment) {
    half.flags |= FlowState::ESTABLISHED;
    if FLOWS.insert(key, &*half, 0).is_err() {
        count(Outcome::FlowsFull);
        return;
    }
    let _ = HALF_OPEN.remove(key);
    count(Outcome::Opened);
    if let Some(flow) = FLOWS.get_ptr_mut(key) {
        // SAFETY: a map value; not preallocated, so freed after a grace period.
        let flow = unsafe { &mut *flow };
        if flow.on_segment::<Shared>(direction, segment, now()) {
            closed(key, flow);
        }
    }
}
