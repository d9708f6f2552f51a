//! A new flow: its target, its port, and both directions of its translation.

use aya_ebpf::bindings::{__sk_buff, BPF_NOEXIST};
use proxy_common::{
    address::{Address, FlowKey},
    balance::{Range, choose},
    nat::{Backends, BackendsKey, PORT_TRIES, Target, TargetSlot, Translation, of_service},
    outcome::Outcome,
    packet::Packet,
    parse::Link,
};

use super::{end::give_up, is_used, sessions::Counted, translate::stays, ways};
use crate::{
    atomics::fetch_add,
    exit::count,
    lookup::{Policy, is_local, is_served, policy},
    maps::{BACKENDS, CURSORS, NAT, NAT_PORTS, PAIR, TURNS},
    newcomer::Newcomer,
};

/// The loopback interface's index, in every network namespace.
const LOOPBACK: u32 = 1;

/// Where a new flow's translations are put together: the stack has no room for them.
#[repr(C)]
pub struct Pair {
    up: Translation,
    down: Translation,
    /// Their keys.
    forth: FlowKey,
    back: FlowKey,
    /// Of what stood in the place of the second.
    old: FlowKey,
    /// From where the target may be reached.
    range: Range,
}

/// Takes a new flow on: gives it a target and a way there and back. `None`: the relay is to
/// serve it.
#[inline(always)]
pub fn dial(newcomer: &Newcomer<'_>) -> Option<TargetSlot> {
    let Newcomer { skb, link, packet, admitted, .. } = newcomer;
    // SAFETY: the context's skb is valid for the program's whole run.
    if unsafe { (**skb).ifindex } == LOOPBACK || is_local(&packet.source) {
        return None;
    }
    // What lingers of an earlier flow of the client's.
    give_up(newcomer.key);
    let link = matches!(link, Link::Ethernet).into();
    match plane_dial(*skb, *packet, admitted.listener.service.into(), link) {
        0 => {
            count(Outcome::NotForwarded);
            None
        }
        taken => Some((taken - 1) as TargetSlot),
    }
}

/// Whether an address is one of a link, not of a route (RFC 4291, 2.5.6).
#[inline(always)]
fn is_link_local(address: &Address) -> bool {
    const MASK: u64 = u64::from_ne_bytes([0xff, 0xc0, 0, 0, 0, 0, 0, 0]);
    const PREFIX: u64 = u64::from_ne_bytes([0xfe, 0x80, 0, 0, 0, 0, 0, 0]);
    address.words()[0] & MASK == PREFIX
}

/// [`dial`], verified by itself: a slot and one more, or 0.
#[inline(never)]
#[unsafe(no_mangle)]
fn plane_dial(skb: *mut __sk_buff, packet: *const Packet, service: u32, link: u32) -> u32 {
    if !is_used() {
        return 0;
    }
    // SAFETY: made from a reference that is held for the call.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    if is_link_local(&packet.source) || stays(packet).is_some() {
        return 0;
    }
    let link = if link == 0 { Link::None } else { Link::Ethernet };
    match attempt(skb, link, packet, service as u16) {
        Some(slot) => u32::from(slot) + 1,
        None => 0,
    }
}

#[inline(always)]
fn attempt(skb: *mut __sk_buff, link: Link, packet: &Packet, service: u16) -> Option<TargetSlot> {
    let key = BackendsKey::new(policy()?.generation, service, packet.source.family());
    // SAFETY: entries are replaced, never written in place, and what is removed stays
    // readable for the program's run.
    let backends = unsafe { BACKENDS.get(&key) }?;
    if Counted::now(of_service(service)) >= backends.most_sessions {
        return None;
    }
    // SAFETY: a map value, valid for the program's run.
    let turn = fetch_add(unsafe { &mut *TURNS.get_ptr_mut(service.into())? }, 1);
    let target = backends.targets.get(choose(backends, &Counted, &packet.source, turn)?)?;
    // SAFETY: this CPU's own map value, which no other program uses meanwhile.
    let pair = unsafe { &mut *PAIR.get_ptr_mut(0)? };
    lay_out(packet, target, pair);
    ways::back(skb, link, &packet.source, &mut pair.down);
    let mtu = if pair.up.mtu < pair.down.mtu { pair.up.mtu } else { pair.down.mtu };
    (pair.up.mtu, pair.down.mtu) = (mtu, mtu);
    let claimed = if backends.flags & Backends::CLIENT_SOURCE != 0 {
        pair.up.source_port = packet.source_port;
        insert(packet.protocol.into(), pair)
    } else {
        claim(backends, target, packet, pair)
    };
    claimed.then_some(target.slot)
}

/// All but the source that the target sees, which is the client's so far, and the way back.
#[inline(always)]
fn lay_out(packet: &Packet, target: &Target, pair: &mut Pair) {
    pair.up = Translation {
        source: packet.source,
        destination: target.address,
        next_hop: target.next_hop,
        source_port: 0,
        destination_port: target.port,
        interface: target.interface,
        mtu: target.mtu,
        flags: 0,
        closed: 0,
        link: [0; 12],
        pad: 0,
    };
    pair.down = Translation {
        source: packet.destination,
        destination: packet.source,
        next_hop: packet.source,
        source_port: packet.destination_port,
        destination_port: packet.source_port,
        interface: 0,
        mtu: 0,
        flags: Translation::DOWN,
        closed: 0,
        link: [0; 12],
        pad: 0,
    };
    pair.forth = packet.key_inbound();
}

/// Takes the port that was taken longest ago, if it is free or its flow has ended.
#[inline(always)]
fn claim(backends: &Backends, target: &Target, packet: &Packet, pair: &mut Pair) -> bool {
    // Read anew: the stack has no room to keep it.
    let Some(Policy { root, .. }) = policy() else { return false };
    let Some(cursor) = CURSORS.get_ptr_mut(target.slot.into()) else { return false };
    let [first, last] = root.nat_ports;
    pair.range = Range { first, last, sources: backends.source_count };
    pair.up.source = target.source;
    for _ in 0..PORT_TRIES {
        // SAFETY: a map value, valid for the program's run.
        let (port, source) = pair.range.at(fetch_add(unsafe { &mut *cursor }, 1));
        if !may_be_used(port) || is_served(packet.protocol, port) {
            continue;
        }
        if pair.range.sources != 0
            && let Some(source) = backends.sources.get(source as usize)
        {
            pair.up.source = *source;
        }
        pair.up.source_port = port;
        if insert(packet.protocol.into(), pair) {
            return true;
        }
    }
    false
}

#[inline(always)]
fn may_be_used(port: u16) -> bool {
    NAT_PORTS.get(u32::from(port / 64)).is_some_and(|ports| ports & 1 << (port % 64) != 0)
}

/// Writes both directions, where the port is free or a flow lingers there that is over.
#[inline(never)]
fn insert(protocol: u32, pair: &mut Pair) -> bool {
    pair.back = pair.up.partner(protocol);
    if NAT.insert(&pair.back, &pair.down, BPF_NOEXIST.into()).is_err()
        && !(frees(pair) && NAT.insert(&pair.back, &pair.down, 0).is_ok())
    {
        return false;
    }
    let written = NAT.insert(&pair.forth, &pair.up, 0).is_ok();
    if !written {
        let _ = NAT.remove(&pair.back);
    }
    written
}

/// Takes the place of a flow that is over; whether it is.
#[inline(always)]
fn frees(pair: &mut Pair) -> bool {
    // SAFETY: a map value, valid for the program's run.
    let Some(old) = (unsafe { NAT.get(&pair.back) }) else { return true };
    if old.closed == 0 {
        return false;
    }
    pair.old = old.partner(pair.back.protocol);
    // The client may have another flow by now.
    // SAFETY: as above.
    if let Some(forth) = unsafe { NAT.get(&pair.old) }
        && forth.source == pair.back.service
        && forth.source_port == pair.back.service_port
    {
        let _ = NAT.remove(&pair.old);
    }
    true
}
