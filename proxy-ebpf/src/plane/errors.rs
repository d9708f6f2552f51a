//! Errors of ICMP about packets of forwarded flows (RFC 792; RFC 4443, 2.4 c): they come to
//! who sent a packet on, and go to who sent it first.
//!
//! Such an error quotes the packet as it went on. Who answers it would be the packet's
//! destination, and what becomes of an answer the translation of its 5-tuple says: the error
//! goes the same way, and what it quotes is made what it was before.

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::{bpf_csum_diff, bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_skb_store_bytes},
    programs::TcContext,
};
use proxy_common::{
    address::{Address, FlowKey, PROTOCOL_TCP, PROTOCOL_UDP},
    nat::Translation,
    outcome::Outcome,
    parse::Link,
};

use super::{
    is_used,
    translate::{BPF_F_IPV6, ports, replace_addresses, send, v4},
};
use crate::{
    linear::{NETWORK, V4, V6, has_ethernet, load_network},
    maps::NAT,
};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// Length of the error before what it quotes.
const ERROR: u32 = 8;
const CHECKSUM: u32 = 2;

/// Sends an error on, if it is one about a forwarded flow.
#[inline(always)]
pub fn error(skb: *mut __sk_buff, link: Link) -> Option<Outcome> {
    let link = matches!(link, Link::Ethernet).into();
    (plane_error(skb, link) != 0).then_some(Outcome::Forwarded)
}

/// [`error`], verified by itself; 0: it is none.
#[inline(never)]
#[unsafe(no_mangle)]
fn plane_error(skb: *mut __sk_buff, link: u32) -> u32 {
    if !is_used() {
        return 0;
    }
    let link = if link == 0 { Link::None } else { Link::Ethernet };
    let ctx = TcContext::new(skb);
    let sent = match load_network::<1>(&ctx, 0) {
        Some([first]) if first >> 4 == 6 => error6(&ctx, link),
        Some([0x45]) => error4(&ctx, link),
        _ => None,
    };
    sent.is_some().into()
}

#[inline(always)]
fn error4(ctx: &TcContext, link: Link) -> Option<()> {
    let outer: [u8; V4 as usize] = load_network(ctx, 0)?;
    let is_whole = outer[6] & 0x3f == 0 && outer[7] == 0;
    // Destination unreachable, time exceeded, parameter problem.
    if outer[9] != ICMP || !is_whole || !matches!(load_network::<1>(ctx, V4)?, [3 | 11 | 12]) {
        return None;
    }
    let quoted = V4 + ERROR;
    let inner: [u8; V4 as usize] = load_network(ctx, quoted)?;
    // The ports are in a first fragment only.
    if inner[0] != 0x45 || inner[6] & 0x1f != 0 || inner[7] != 0 {
        return None;
    }
    let [a, b, c, d, e, f, g, h] = *inner.last_chunk()?;
    let ends = (Address::v4([a, b, c, d]), Address::v4([e, f, g, h]));
    let (way, old_ports) = way(ctx, ends, inner[9], quoted + V4)?;
    if !has_ethernet(ctx, link) {
        return None;
    }
    let (icmp, quoted) = (NETWORK + V4, NETWORK + quoted);
    let mut old = [v4(&ends.0), v4(&ends.1)];
    let mut new = [v4(&way.destination), v4(&way.source)];
    let mut old_outer: [u8; 8] = *outer.last_chunk()?;
    let mut new_outer = [new[1], new[0]];
    let skb = ctx.skb.skb;
    // SAFETY: the helpers read two words each and write within the packet or fail.
    unsafe {
        let inner = bpf_csum_diff(old.as_mut_ptr(), 8, new.as_mut_ptr(), 8, 0);
        let from = old_outer.as_mut_ptr().cast();
        let outer = bpf_csum_diff(from, 8, new_outer.as_mut_ptr(), 8, 0);
        // What changes in the quoted header its own checksum makes up for in the error's.
        bpf_l3_csum_replace(skb, quoted + 10, 0, inner as u64, 0);
        bpf_skb_store_bytes(skb, quoted + 12, new.as_ptr().cast(), 8, 0);
        rewrite_ports(skb, (icmp, quoted + V4), old_ports, way);
        bpf_l3_csum_replace(skb, NETWORK + 10, 0, outer as u64, 0);
        bpf_skb_store_bytes(skb, NETWORK + 12, new_outer.as_ptr().cast(), 8, 0);
    }
    send(skb, way);
    Some(())
}

#[inline(always)]
fn error6(ctx: &TcContext, link: Link) -> Option<()> {
    let [next] = load_network::<1>(ctx, 6)?;
    // Destination unreachable, packet too big, time exceeded, parameter problem.
    if next != ICMPV6 || !matches!(load_network::<1>(ctx, V6)?, [1..=4]) {
        return None;
    }
    let quoted = V6 + ERROR;
    let [protocol] = load_network::<1>(ctx, quoted + 6)?;
    let mut old: [[u8; 16]; 2] = load_network(ctx, quoted + 8).map(halves)?;
    let ends = (Address::v6(old[0]), Address::v6(old[1]));
    let (way, old_ports) = way(ctx, ends, protocol, quoted + V6)?;
    if !has_ethernet(ctx, link) {
        return None;
    }
    let (icmp, quoted) = (NETWORK + V6, NETWORK + quoted);
    let skb = ctx.skb.skb;
    // A checksum does not tell in which order words stand.
    let new = (&raw const way.source).cast_mut();
    // SAFETY: the helpers read eight words each, source and destination of the translation
    // being side by side, and write within the packet or fail.
    unsafe {
        let inner = bpf_csum_diff(old.as_mut_ptr().cast(), 32, new.cast(), 32, 0);
        old = load_network(ctx, 8).map(halves)?;
        let outer = bpf_csum_diff(old.as_mut_ptr().cast(), 32, new.cast(), 32, 0);
        bpf_l4_csum_replace(skb, icmp + CHECKSUM, 0, inner as u64, 0);
        bpf_skb_store_bytes(skb, quoted + 8, (&raw const way.destination).cast(), 16, 0);
        bpf_skb_store_bytes(skb, quoted + 24, (&raw const way.source).cast(), 16, 0);
        rewrite_ports(skb, (icmp, quoted + V6), old_ports, way);
        replace_addresses(skb, icmp + CHECKSUM, outer as u64, BPF_F_IPV6);
        bpf_skb_store_bytes(skb, NETWORK + 8, new.cast(), 32, 0);
    }
    send(skb, way);
    Some(())
}

#[inline(always)]
fn halves(bytes: [u8; 32]) -> [[u8; 16]; 2] {
    // SAFETY: of one size.
    unsafe { core::mem::transmute(bytes) }
}

/// What becomes of answers to a packet from and to `ends`, whose ports are `at`; and these.
#[inline(always)]
fn way(
    ctx: &TcContext,
    ends: (Address, Address),
    protocol: u8,
    at: u32,
) -> Option<(&'static Translation, u32)> {
    if !matches!(protocol, PROTOCOL_TCP | PROTOCOL_UDP) {
        return None;
    }
    let ports: [u8; 4] = load_network(ctx, at)?;
    let key = FlowKey {
        client: ends.1,
        service: ends.0,
        client_port: u16::from_be_bytes([ports[2], ports[3]]),
        service_port: u16::from_be_bytes([ports[0], ports[1]]),
        protocol: protocol.into(),
    };
    // SAFETY: a map value, valid for the program's run.
    let way = unsafe { NAT.get(&key) }?;
    Some((way, u32::from_ne_bytes(ports)))
}

/// # Safety
/// `icmp` is where the error begins, `at` where the quoted ports are.
#[inline(always)]
unsafe fn rewrite_ports(skb: *mut __sk_buff, (icmp, at): (u32, u32), old: u32, way: &Translation) {
    let new = ports(way.destination_port, way.source_port);
    // SAFETY: the helpers write within the packet or fail.
    unsafe {
        bpf_l4_csum_replace(skb, icmp + CHECKSUM, old.into(), new.into(), 4);
        bpf_skb_store_bytes(skb, at, (&raw const new).cast(), 4, 0);
    }
}
