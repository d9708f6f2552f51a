//! The way out: counting only.

use proxy_common::{flow::FlowState, outcome::Outcome, packet::Packet, tcp::Direction};

use crate::{
    atomics::Shared,
    handshake,
    ingress::closed,
    lookup::{listener, now, root},
    maps::FLOWS,
};

/// Counts a packet on its way out.
#[inline(always)]
pub fn outbound(packet: &Packet) -> Outcome {
    let Some((_, generation)) = root() else {
        return Outcome::NoPolicy;
    };
    // One look-up spares the packets of other ports the larger one.
    if listener(generation, &packet.source, packet.source_port, packet.protocol).is_none() {
        return Outcome::NotOurs;
    }
    let key = packet.key_outbound();
    let Some(flow) = FLOWS.get_ptr_mut(&key) else {
        return handshake::outbound(packet, &key);
    };
    // SAFETY: a map value; not preallocated, so freed after a grace period.
    let flow: &mut FlowState = unsafe { &mut *flow };
    if flow.on_segment::<Shared>(Direction::Down, &packet.segment, now()) {
        closed(&key, flow);
    }
    Outcome::Flow
}
