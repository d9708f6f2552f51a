//! The way in: is it ours, is its flow known, may it pass?

use proxy_common::{
    address::{FlowKey, PROTOCOL_UDP},
    event::{ClosedEvent, CutEvent, Hook, KIND_CLOSED, KIND_CUT},
    flow::{FlowId, FlowState},
    outcome::Outcome,
    packet::Packet,
    tables::Listener,
    tcp::{Cells, Direction},
};

use crate::{
    atomics::Shared,
    datagram,
    deny::deny,
    exit::count,
    handshake, log,
    lookup::{Policy, is_answer, is_local, is_served, listener, now, policy, verdict},
    maps::{EVENTS, FLOWS, PARKED, QUIETLY},
    newcomer, plane,
};

/// Where a packet came in.
#[derive(Clone, Copy)]
pub struct Arrival {
    pub hook: Hook,
    pub interface: u32,
    /// Whether flows are followed here: XDP only drops, and what a VLAN's own interface
    /// will see is counted there.
    pub follows: bool,
}

/// What is to be done with a packet on its way in.
pub enum Step {
    /// Leave.
    Exit(Outcome),
    /// Rewrite it and send it on, where its flow is forwarded: [`crate::plane::translate`].
    Forward,
    /// Begin a flow with it: [`crate::newcomer::begin`].
    Begin,
}

/// Judges and counts a packet on its way in.
#[inline(always)]
pub fn inbound(packet: &Packet, arrival: Arrival) -> Step {
    log::note(packet);
    let Some(policy) = policy() else {
        return Step::Exit(Outcome::NoPolicy);
    };
    let key = packet.key_inbound();
    if !is_served(packet.protocol, packet.destination_port) {
        let (from, to) = (packet.source_port, packet.destination_port);
        let answers = arrival.follows && is_answer(policy.root, packet.protocol, from, to);
        return if answers { Step::Forward } else { Step::Exit(Outcome::NotOurs) };
    }
    if packet.protocol == PROTOCOL_UDP {
        return match datagram::flow(&key) {
            Some(flow) => datagram::known(packet, &key, flow, policy.generation, &arrival),
            None => unknown(packet, &key, &arrival, &policy, None),
        };
    }
    let Some(flow) = FLOWS.get_ptr_mut(&key) else {
        return unknown(packet, &key, &arrival, &policy, None);
    };
    // SAFETY: a map value, valid memory for the program's run. An entry that is
    // deleted meanwhile may already be another flow's: that one then has a packet
    // too many.
    let flow = unsafe { &mut *flow };
    if flow.has(FlowState::ENDED) && packet.segment.opens() {
        return unknown(packet, &key, &arrival, &policy, Some(flow));
    }
    known(packet, &key, flow, policy.generation, &arrival)
}

/// A packet of no flow, or one that opens another in the place of an `ended` one. A
/// function of its own, like all that an established flow's packets seldom need: they
/// then meet less code.
#[inline(never)]
fn unknown(
    packet: &Packet,
    key: &FlowKey,
    arrival: &Arrival,
    policy: &Policy,
    ended: Option<&mut FlowState>,
) -> Step {
    if is_answer_to_client(packet, key, arrival, policy) {
        return Step::Forward;
    }
    let mut half =
        if arrival.follows && ended.is_none() { handshake::under_way(packet, key) } else { None };
    if let Some(half) = &mut half
        && half.generation == policy.generation
    {
        // Judged, by this policy, with the SYN.
        return handshake::advance(packet, key, half);
    }
    let Some(listener) = destination(packet, policy.generation) else {
        return Step::Exit(Outcome::NotOurs);
    };
    if !is_local(&packet.destination) {
        return Step::Exit(Outcome::NotOurs);
    }
    if datagram::is_answer(packet, key, listener) {
        return Step::Exit(Outcome::Flow);
    }
    let Some(judgement) = verdict(packet, listener) else {
        return Step::Exit(Outcome::NoPolicy);
    };
    if let Some(reason) = judgement.denied {
        return Step::Exit(deny(packet, policy.root, listener, reason, arrival));
    }
    if !arrival.follows {
        return Step::Exit(Outcome::Admitted);
    }
    if let Some(flow) = ended
        && !hand_over(key, flow)
    {
        return Step::Exit(Outcome::Flow);
    }
    if let Some(half) = half {
        return handshake::advance(packet, key, half);
    }
    newcomer::note(key, listener, &judgement, policy.generation);
    Step::Begin
}

/// Whether a packet is what a target answers to a client that it sees by its own address,
/// and whose port is a service's, too.
#[inline(never)]
fn is_answer_to_client(packet: &Packet, key: &FlowKey, arrival: &Arrival, policy: &Policy) -> bool {
    let (from, to) = (packet.source_port, packet.destination_port);
    arrival.follows && is_answer(policy.root, packet.protocol, from, to) && plane::is_of_target(key)
}

/// Who listens where a packet goes.
#[inline(always)]
fn destination(packet: &Packet, generation: u32) -> Option<&'static Listener> {
    listener(generation, &packet.destination, packet.destination_port, packet.protocol)
}

/// A packet of a known flow.
#[inline(always)]
fn known(
    packet: &Packet,
    key: &FlowKey,
    flow: &mut FlowState,
    generation: u32,
    arrival: &Arrival,
) -> Step {
    if let Some(outcome) = uncounted(packet, key, flow, generation, arrival) {
        return Step::Exit(outcome);
    }
    if flow.on_segment::<Shared>(Direction::Up, &packet.segment, now()) {
        closed(key, flow);
    }
    of_flow(flow)
}

/// A packet of a flow that was counted: the host's, or to be sent on.
#[inline(always)]
pub fn of_flow(flow: &FlowState) -> Step {
    if flow.has(FlowState::FORWARDED) { Step::Forward } else { Step::Exit(Outcome::Flow) }
}

/// What becomes of a known flow's packet that is not to be counted. It is judged again only
/// when the policy changed.
#[inline(always)]
pub fn uncounted(
    packet: &Packet,
    key: &FlowKey,
    flow: &mut FlowState,
    generation: u32,
    arrival: &Arrival,
) -> Option<Outcome> {
    if flow.has(FlowState::CUT) || plane::is_cut(packet, flow) {
        plane::plead_cut(packet, key, flow, false);
        return Some(Outcome::Cut);
    }
    if !arrival.follows {
        return Some(Outcome::Flow);
    }
    if flow.has(FlowState::FORWARDED)
        && let Some(outcome) = plane::stays(packet)
    {
        return Some(outcome);
    }
    if flow.generation == generation {
        return None;
    }
    judge_again(packet, key, flow, generation)
}

/// What a new policy makes of a flow's packet, unless it passes.
#[inline(never)]
fn judge_again(
    packet: &Packet,
    key: &FlowKey,
    flow: &mut FlowState,
    generation: u32,
) -> Option<Outcome> {
    let Some(listener) = destination(packet, generation) else {
        return Some(Outcome::NotOurs);
    };
    if let Some(judgement) = verdict(packet, listener) {
        if let Some(reason) = judgement.denied {
            flow.cut = reason as u8;
            plane::plead_cut(packet, key, flow, false);
            return Some(cut(key, flow));
        }
        flow.note(&judgement);
    }
    flow.generation = generation;
    None
}

#[inline(always)]
fn cut(key: &FlowKey, flow: &mut FlowState) -> Outcome {
    let before = Shared::set(&mut flow.flags, FlowState::CUT);
    // Of one that has ended there is nothing left to be told.
    if before & (FlowState::CUT | FlowState::ENDED) == 0 {
        match EVENTS.reserve::<CutEvent>(0) {
            Some(mut event) => {
                event.write(CutEvent { kind: KIND_CUT, pad: 0, key: *key });
                event.submit(QUIETLY);
            }
            None => count(Outcome::RingFull),
        }
    }
    Outcome::Cut
}

/// Tells the daemon that a flow ended.
#[inline(never)]
pub fn closed(key: &FlowKey, flow: &FlowState) {
    count(Outcome::Closed);
    if flow.has(FlowState::FORWARDED) {
        plane::ended(key, flow);
    }
    tell(key, flow, 0);
}

/// A new connection takes a flow's place, whose state waits elsewhere until its record
/// is safe. False where there is no room for it: the entry stays.
#[inline(never)]
pub fn hand_over(key: &FlowKey, flow: &FlowState) -> bool {
    let id = FlowId { key: *key, started: flow.started };
    if PARKED.insert(&id, flow, 0).is_err() {
        count(Outcome::ParkedFull);
        return false;
    }
    tell(key, flow, 1);
    FLOWS.remove(key).is_ok()
}

#[inline(always)]
fn tell(key: &FlowKey, flow: &FlowState, replaced: u32) {
    let Some(mut event) = EVENTS.reserve::<ClosedEvent>(0) else {
        count(Outcome::RingFull);
        return;
    };
    let room: *mut ClosedEvent = event.as_mut_ptr();
    // SAFETY: reserved memory of this size. Written field by field: a whole event does
    // not fit on the stack.
    unsafe {
        (&raw mut (*room).kind).write(KIND_CLOSED);
        (&raw mut (*room).replaced).write(replaced);
        (&raw mut (*room).key).write(*key);
        (&raw mut (*room).state).write(*flow);
    }
    event.submit(QUIETLY);
}
