//! UDP: from a client's first datagram on there is a flow, until the daemon ends it.
//!
//! What the host itself asks from a guarded port is no client's: its answer is let in, and
//! is in no flow.

use aya_ebpf::bindings::BPF_NOEXIST;
use proxy_common::{
    address::{FlowKey, PROTOCOL_UDP},
    flow::FlowState,
    outcome::Outcome,
    packet::Packet,
    tables::Listener,
    tcp::Direction,
    udp::Question,
};

use crate::{
    atomics::Shared,
    exit::count,
    handshake::fresh,
    ingress::{Arrival, Step, of_flow, uncounted},
    lookup::{is_local, listener, now, precisely_now},
    maps::{QUESTIONS, UDP_FLOWS},
    newcomer::Newcomer,
    plane,
};

/// A client's datagram of a known flow.
#[inline(never)]
pub fn known(
    packet: &Packet,
    key: &FlowKey,
    flow: &mut FlowState,
    generation: u32,
    arrival: &Arrival,
) -> Step {
    if let Some(outcome) = uncounted(packet, key, flow, generation, arrival) {
        return Step::Exit(outcome);
    }
    flow.on_datagram::<Shared>(Direction::Up, &packet.segment, now());
    of_flow(flow)
}

/// Whether a packet of no flow answers what the host asked.
#[inline(always)]
pub fn is_answer(packet: &Packet, key: &FlowKey, listener: &Listener) -> bool {
    packet.protocol == PROTOCOL_UDP
        && !listener.has(Listener::RELAYED)
        && question(key).is_some_and(|question| question.admits(now()))
}

/// Begins a flow with a datagram that is admitted. Whether it is to be forwarded.
#[inline(always)]
pub fn begin(newcomer: &Newcomer<'_>) -> bool {
    let Newcomer { packet, key, admitted, .. } = newcomer;
    let Some(fresh) = fresh() else { return false };
    *fresh = FlowState::first_datagram(&packet.segment, precisely_now());
    fresh.note(&admitted.judgement);
    fresh.serve(&admitted.listener, admitted.generation);
    plane::take_on(newcomer, fresh);
    if UDP_FLOWS.insert(*key, &*fresh, BPF_NOEXIST.into()).is_ok() {
        count(Outcome::Opened);
        if fresh.has(FlowState::FORWARDED) {
            plane::began(fresh);
        }
        return fresh.has(FlowState::FORWARDED);
    }
    if let Some(flow) = flow(key) {
        // Another CPU was first.
        flow.on_datagram::<Shared>(Direction::Up, &packet.segment, now());
        return flow.has(FlowState::FORWARDED);
    }
    count(Outcome::FlowsFull);
    if fresh.has(FlowState::FORWARDED) {
        plane::give_up(key);
    }
    if !admitted.listener.has(Listener::RELAYED) {
        // What the host sends this client is no question for that.
        let _ = QUESTIONS.insert(*key, Question::NONE, 0);
    }
    false
}

/// Counts a datagram on its way out.
#[inline(never)]
pub fn outbound(packet: &Packet, key: &FlowKey, generation: u32) -> Outcome {
    let Some(flow) = flow(key) else {
        return ask(packet, key, generation);
    };
    if flow.has(FlowState::CUT | FlowState::FORWARDED) {
        return Outcome::Cut;
    }
    flow.on_datagram::<Shared>(Direction::Down, &packet.segment, now());
    Outcome::Flow
}

/// The host speaks where no client did.
#[inline(always)]
fn ask(packet: &Packet, key: &FlowKey, generation: u32) -> Outcome {
    let listener = listener(generation, &packet.source, packet.source_port, packet.protocol);
    // What this host only routes is another's; the relay only answers.
    if !listener.is_some_and(|listener| !listener.has(Listener::RELAYED))
        || !is_local(&packet.source)
    {
        return Outcome::NotOurs;
    }
    if let Some(question) = question(key) {
        question.again(now());
    } else {
        let _ = QUESTIONS.insert(key, Question::at(now()), 0);
    }
    Outcome::Flow
}

/// The flow of a 5-tuple.
#[inline(always)]
pub fn flow(key: &FlowKey) -> Option<&'static mut FlowState> {
    // SAFETY: a map value, valid memory for the program's run; see `ingress::inbound`.
    UDP_FLOWS.get_ptr_mut(key).map(|flow| unsafe { &mut *flow })
}

/// What is known of who spoke first on a 5-tuple that has no flow.
#[inline(always)]
fn question(key: &FlowKey) -> Option<&'static mut Question> {
    // SAFETY: a map value, valid memory for the program's run.
    QUESTIONS.get_ptr_mut(key).map(|question| unsafe { &mut *question })
}
