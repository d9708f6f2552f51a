//! What ends a forwarded flow, and what of it the daemon has to see to.

use proxy_common::{
    address::FlowKey,
    event::{KIND_PLANE, PlaneEvent, Plea},
    flow::FlowState,
    nat::{Backends, BackendsKey},
    outcome::Outcome,
    packet::{Packet, Segment},
};

use super::{rate, sessions};
use crate::{
    exit::count,
    lookup::{now, policy},
    maps::{BACKENDS, DIALS, EVENTS, NAT, QUIETLY},
};

/// The handshake on a 5-tuple is complete: its flow is among the established ones.
#[inline(always)]
pub fn established(key: &FlowKey) {
    let _ = DIALS.remove(key);
}

/// A flow is over. It goes on being translated, for what still comes of it, until its port
/// is needed or the daemon clears it away.
#[inline(always)]
pub fn ended(key: &FlowKey, flow: &FlowState) {
    sessions::over(flow);
    let Some(forth) = NAT.get_ptr_mut(key) else { return };
    let at = now();
    // SAFETY: a map value, valid for the program's run.
    let back = unsafe {
        (*forth).closed = at;
        (*forth).partner(key.protocol)
    };
    if let Some(back) = NAT.get_ptr_mut(&back) {
        // SAFETY: as above.
        unsafe { (*back).closed = at };
    }
}

/// Gives back what a flow was given that does not come about, or is over.
#[inline(never)]
pub fn give_up(key: &FlowKey) {
    // SAFETY: a map value, valid for the program's run.
    if let Some(forth) = unsafe { NAT.get(key) } {
        let back = forth.partner(key.protocol);
        let _ = NAT.remove(&back);
        let _ = NAT.remove(key);
    }
}

/// The target of a handshake under way answers with an RST.
#[inline(always)]
pub fn refused(key: &FlowKey, half: &FlowState, segment: &Segment) -> Outcome {
    let answers = segment.acknowledgment.wrapping_sub(half.up.base);
    if half.is_answered() {
        // It gave the client up.
        give_up(key);
        let _ = DIALS.remove(key);
    } else if u64::from(answers) > half.up.sent {
        // Not to this client's SYN (RFC 9293, 3.10.7.3).
    } else if has_others(key, half) {
        plead(Plea::RefusedOne, key, segment, true);
        return Outcome::TargetRefused;
    } else {
        plead(Plea::Refused, key, segment, true);
    }
    Outcome::Refused
}

/// Whether the service has more than one target for such clients.
#[inline(always)]
fn has_others(key: &FlowKey, half: &FlowState) -> bool {
    let Some(policy) = policy() else { return false };
    let key = BackendsKey::new(policy.generation, half.service, key.client.family());
    // SAFETY: a map value, valid for the program's run.
    let backends: Option<&Backends> = unsafe { BACKENDS.get(&key) };
    backends.is_some_and(|backends| backends.count > 1)
}

/// Whether a packet of a forwarded flow goes no further. After a reset nothing is counted
/// any more: who sends payload all the same has not heard of it, or made it up.
#[inline(always)]
pub fn is_cut(packet: &Packet, flow: &FlowState) -> bool {
    let after_reset = flow.is_reset() && packet.segment.payload > 0;
    flow.has(FlowState::FORWARDED)
        && !packet.segment.has(Segment::RST)
        && (flow.has(FlowState::CUT) || after_reset)
}

/// A packet of a forwarded flow that is cut: whoever sent it is to be told.
#[inline(always)]
pub fn plead_cut(packet: &Packet, key: &FlowKey, flow: &FlowState, down: bool) {
    let may_plead =
        flow.has(FlowState::FORWARDED) && !packet.segment.has(Segment::RST) && rate::may_plead();
    if may_plead {
        plead(Plea::Cut, key, &packet.segment, down);
    }
}

#[inline(never)]
fn plead(plea: Plea, key: &FlowKey, segment: &Segment, down: bool) {
    let Some(mut event) = EVENTS.reserve::<PlaneEvent>(0) else {
        count(Outcome::RingFull);
        return;
    };
    event.write(PlaneEvent {
        kind: KIND_PLANE,
        plea: plea as u8,
        down: down.into(),
        mtu: 0,
        key: *key,
        segment: *segment,
    });
    event.submit(QUIETLY);
}
