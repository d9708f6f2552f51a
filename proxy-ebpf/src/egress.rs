//! The way out: counting only.

use proxy_common::{
    address::PROTOCOL_UDP,
    flow::FlowState,
    outcome::Outcome,
    packet::{Packet, Segment},
    tcp::Direction,
};

use crate::{
    atomics::Shared,
    datagram, handshake,
    ingress::{closed, hand_over},
    log,
    lookup::{is_served, now, policy},
    maps::FLOWS,
    plane,
};

/// Counts a packet on its way out.
#[inline(always)]
pub fn outbound(packet: &Packet) -> Outcome {
    log::note(packet);
    let Some(policy) = policy() else {
        return Outcome::NoPolicy;
    };
    if !is_served(packet.protocol, packet.source_port) {
        return Outcome::NotOurs;
    }
    let key = packet.key_outbound();
    if packet.protocol == PROTOCOL_UDP {
        return datagram::outbound(packet, &key, policy.generation);
    }
    let Some(flow) = FLOWS.get_ptr_mut(&key) else {
        return handshake::outbound(packet, &key, policy.generation);
    };
    // SAFETY: a map value, valid memory for the program's run; see `ingress::inbound`.
    let flow: &mut FlowState = unsafe { &mut *flow };
    if plane::is_cut(packet, flow) {
        plane::plead_cut(packet, &key, flow, true);
        return Outcome::Cut;
    }
    if begins_anew(flow, &packet.segment) {
        if flow.has(FlowState::FORWARDED) {
            return plane::replaced(&key, flow, &packet.segment);
        }
        if !hand_over(&key, flow) {
            return Outcome::Flow;
        }
        return handshake::outbound(packet, &key, policy.generation);
    }
    if flow.on_segment::<Shared>(Direction::Down, &packet.segment, now()) {
        closed(&key, flow);
    }
    Outcome::Flow
}

/// The host accepts another SYN of a 5-tuple whose flow never ended here: it had given
/// that connection up.
#[inline(always)]
fn begins_anew(flow: &FlowState, segment: &Segment) -> bool {
    segment.has(Segment::SYN | Segment::ACK)
        && !flow.has(FlowState::ENDED)
        && !flow.is_answered_by(segment)
}
