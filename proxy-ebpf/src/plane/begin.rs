//! From a client's first packet to a flow that is forwarded.

use proxy_common::{
    address::FlowKey, flow::FlowState, outcome::Outcome, packet::Segment, tables::Listener,
    tcp::Cells,
};

use super::{dial::dial, end::give_up, sessions, translate::is_translated};
use crate::{
    atomics::Shared, handshake::fresh, ingress::hand_over, lookup::precisely_now, maps::DIALS,
    newcomer::Newcomer,
};

/// The handshake with a target that is under way on a 5-tuple.
#[inline(always)]
pub fn dialled(key: &FlowKey) -> Option<&'static mut FlowState> {
    // SAFETY: a map value, valid memory for the program's run.
    DIALS.get_ptr_mut(key).map(|dial| unsafe { &mut *dial })
}

/// Takes an admitted SYN. False: the relay is to serve it.
#[inline(always)]
pub fn open(newcomer: &Newcomer<'_>) -> bool {
    if !newcomer.admitted.listener.has(Listener::FORWARDED) {
        return false;
    }
    match dialled(newcomer.key) {
        Some(half) => again(newcomer, half),
        None => first(newcomer),
    }
}

#[inline(always)]
fn first(newcomer: &Newcomer<'_>) -> bool {
    let Newcomer { packet, key, admitted, .. } = newcomer;
    let Some(target) = dial(newcomer) else { return false };
    let Some(fresh) = fresh() else { return false };
    *fresh = FlowState::opening(&packet.segment, precisely_now());
    fresh.note(&admitted.judgement);
    fresh.forward(admitted.listener.service, target, admitted.generation);
    let noted = DIALS.insert(*key, &*fresh, 0).is_ok();
    if !noted {
        give_up(key);
    }
    noted
}

/// A SYN where one was forwarded already.
#[inline(always)]
fn again(newcomer: &Newcomer<'_>, half: &mut FlowState) -> bool {
    let Newcomer { packet, key, admitted, .. } = newcomer;
    let syn = &packet.segment;
    if half.is_same_opening(syn) {
        Shared::add(&mut half.up.packets, u64::from(syn.packets));
    } else if !half.is_answered() {
        let target = half.target;
        *half = FlowState::opening(syn, precisely_now());
        half.forward(admitted.listener.service, target, admitted.generation);
    }
    half.note(&admitted.judgement);
    half.generation = admitted.generation;
    if is_translated(key) {
        return true;
    }
    // The target did not answer, and the daemon took the client from it.
    let Some(target) = dial(newcomer) else {
        let _ = DIALS.remove(*key);
        return false;
    };
    half.target = target;
    true
}

/// A target's SYN-ACK that answers another SYN than the one that is known: the target's word
/// counts. Whether the handshake is the plane's.
#[inline(always)]
pub fn answered_anew(key: &FlowKey, syn_ack: &Segment) -> bool {
    let Some(half) = dialled(key) else { return false };
    let (service, target) = (half.service, half.target);
    *half = FlowState::answered(syn_ack, precisely_now());
    // Its client is judged with its next packet.
    half.forward(service, target, 0);
    true
}

/// A target accepts another SYN of a 5-tuple whose flow never ended here: it had given that
/// connection up.
#[inline(never)]
pub fn replaced(key: &FlowKey, flow: &FlowState, syn_ack: &Segment) -> Outcome {
    let (service, target) = (flow.service, flow.target);
    if !hand_over(key, flow) {
        return Outcome::Flow;
    }
    sessions::over(flow);
    let Some(fresh) = fresh() else { return Outcome::Flow };
    *fresh = FlowState::answered(syn_ack, precisely_now());
    fresh.forward(service, target, 0);
    let _ = DIALS.insert(key, &*fresh, 0);
    Outcome::Flow
}

/// Takes a UDP client, where the kernel plane can; `flow` is its flow that begins.
#[inline(always)]
pub fn take_on(newcomer: &Newcomer<'_>, flow: &mut FlowState) {
    let admitted = newcomer.admitted;
    if admitted.listener.has(Listener::FORWARDED)
        && let Some(target) = dial(newcomer)
    {
        flow.forward(admitted.listener.service, target, admitted.generation);
    }
}
