//! The way in: is it ours, is its flow known, may it pass?

use proxy_common::{
    address::FlowKey,
    event::{ClosedEvent, CutEvent, Hook, KIND_CLOSED, KIND_CUT},
    flow::FlowState,
    outcome::Outcome,
    packet::Packet,
    tables::Listener,
    tcp::{Cells, Direction},
};

use crate::{
    atomics::Shared,
    deny::deny,
    exit::count,
    handshake,
    lookup::{is_local, listener, now, root, verdict},
    maps::{EVENTS, FLOWS},
};

/// Where a packet came in.
#[derive(Clone, Copy)]
pub struct Arrival {
    pub hook: Hook,
    pub interface: u32,
}

/// Judges and counts a packet on its way in.
#[inline(always)]
pub fn inbound(packet: &Packet, arrival: Arrival) -> Outcome {
    let Some((root, generation)) = root() else {
        return Outcome::NoPolicy;
    };
    let Some(listener) =
        listener(generation, &packet.destination, packet.destination_port, packet.protocol)
    else {
        return Outcome::NotOurs;
    };
    let key = packet.key_inbound();
    if let Some(flow) = FLOWS.get_ptr_mut(&key) {
        // SAFETY: a map value; not preallocated, so freed after a grace period.
        let flow = unsafe { &mut *flow };
        if !(flow.has(FlowState::ENDED) && packet.segment.opens()) {
            return known(packet, &key, flow, listener, generation, arrival);
        }
        if matches!(arrival.hook, Hook::Tc) && !hand_over(&key, flow) {
            return Outcome::Flow;
        }
    }
    if !is_local(&packet.destination) {
        return Outcome::NotOurs;
    }
    let Some(judgement) = verdict(packet, listener) else {
        return Outcome::NoPolicy;
    };
    if let Some(reason) = judgement.denied {
        return deny(packet, root, listener, reason, arrival);
    }
    // XDP only drops: what passes is followed at TC ingress.
    if matches!(arrival.hook, Hook::Tc) {
        handshake::inbound(packet, &key, listener, &judgement, generation);
    }
    Outcome::Admitted
}

/// A packet of a known flow: judged again only when the policy changed.
#[inline(always)]
fn known(
    packet: &Packet,
    key: &FlowKey,
    flow: &mut FlowState,
    listener: &Listener,
    generation: u32,
    arrival: Arrival,
) -> Outcome {
    if flow.has(FlowState::CUT) {
        return Outcome::Cut;
    }
    if matches!(arrival.hook, Hook::Xdp) {
        return Outcome::Flow;
    }
    if flow.generation != generation && !flow.has(FlowState::ENDED) {
        if let Some(judgement) = verdict(packet, listener) {
            if let Some(reason) = judgement.denied {
                flow.cut = reason as u8;
                return cut(key, flow);
            }
        }
        flow.generation = generation;
    }
    if flow.on_segment::<Shared>(Direction::Up, &packet.segment, now()) {
        closed(key, flow);
    }
    Outcome::Flow
}

#[inline(always)]
fn cut(key: &FlowKey, flow: &mut FlowState) -> Outcome {
    if Shared::set(&mut flow.flags, FlowState::CUT) & FlowState::CUT == 0 {
        match EVENTS.reserve::<CutEvent>(0) {
            Some(mut event) => {
                event.write(CutEvent { kind: KIND_CUT, pad: 0, key: *key });
                event.submit(0);
            }
            None => count(Outcome::RingFull),
        }
    }
    Outcome::Cut
}

/// Tells the daemon that a flow ended.
#[inline(always)]
pub fn closed(key: &FlowKey, flow: &FlowState) {
    count(Outcome::Closed);
    tell(key, flow, 0);
}

/// A new connection takes an ended flow's place: its state goes to the daemon
/// first. False where that failed; the entry stays for the sweep then.
#[inline(always)]
fn hand_over(key: &FlowKey, flow: &FlowState) -> bool {
    tell(key, flow, 1) && FLOWS.remove(key).is_ok()
}

#[inline(always)]
fn tell(key: &FlowKey, flow: &FlowState, replaced: u32) -> bool {
    let Some(mut event) = EVENTS.reserve::<ClosedEvent>(0) else {
        count(Outcome::RingFull);
        return false;
    };
    event.write(ClosedEvent { kind: KIND_CLOSED, replaced, key: *key, state: *flow });
    event.submit(0);
    true
}
