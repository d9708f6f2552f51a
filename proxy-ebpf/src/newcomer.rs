//! A packet of no flow that is admitted: a flow begins with it, perhaps.
//!
//! It is verified by itself, as reading is: else what follows would be gone through for
//! each of the many ways through a verdict. What the verdict said is handed over in a map,
//! as a global function takes few arguments; and only when the verdict's part of the stack
//! is free again.

use aya_ebpf::bindings::__sk_buff;
use proxy_common::{
    address::{FlowKey, PROTOCOL_UDP},
    outcome::Outcome,
    packet::Packet,
    parse::Link,
    tables::Listener,
    verdict::Judgement,
};

use crate::{datagram, handshake, ingress::Step, maps::ADMITTED};

/// What is known of an admitted packet.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Admitted {
    key: FlowKey,
    pub listener: Listener,
    /// By which it was admitted.
    pub generation: u32,
    /// What was said of its client beside "pass".
    pub judgement: Judgement,
}

/// An admitted packet that belongs to no flow.
pub struct Newcomer<'a> {
    pub skb: *mut __sk_buff,
    pub link: Link,
    pub packet: &'a Packet,
    pub key: &'static FlowKey,
    pub admitted: &'static Admitted,
}

/// Keeps what was said of a packet until [`begin`].
#[inline(always)]
pub fn note(key: &FlowKey, listener: &Listener, judgement: &Judgement, generation: u32) {
    let Some(room) = ADMITTED.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's own map value, which no other program uses meanwhile.
    unsafe {
        *room = Admitted { key: *key, listener: *listener, generation, judgement: *judgement };
    }
}

/// Begins what the packet begins.
#[inline(always)]
pub fn begin(skb: *mut __sk_buff, link: Link, packet: &Packet) -> Step {
    if begin_flow(skb, packet, matches!(link, Link::Ethernet).into()) == 0 {
        Step::Exit(Outcome::Admitted)
    } else {
        Step::Forward
    }
}

/// [`begin`]; not 0 where the packet is to be forwarded.
#[inline(never)]
#[unsafe(no_mangle)]
fn begin_flow(skb: *mut __sk_buff, packet: *const Packet, link: u32) -> u32 {
    // SAFETY: made from a reference that is held for the call.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    let Some(admitted) = ADMITTED.get(0) else { return 0 };
    let link = if link == 0 { Link::None } else { Link::Ethernet };
    let newcomer = Newcomer { skb, link, packet, key: &admitted.key, admitted };
    let forwards = if packet.protocol == PROTOCOL_UDP {
        datagram::begin(&newcomer)
    } else {
        handshake::inbound(&newcomer)
    };
    forwards.into()
}
