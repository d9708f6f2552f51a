//! Weir's kernel programs: the verdict at TC ingress and XDP, and the counting of
//! accepted flows at TC ingress and egress.
//!
//! An entry point parses the frame, asks for an [`Outcome`] and leaves by the one
//! counted exit. What is not Weir's is passed on with `TCX_NEXT`, so later
//! programs still see it.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(internal_features, reason = "core's atomics have no read-modify-write on BPF")]

mod atomics;
#[cfg(feature = "bench")]
mod bench;
mod classes;
mod datagram;
mod deny;
mod egress;
mod exit;
mod frame;
mod gate;
mod handshake;
mod ingress;
mod linear;
mod log;
mod lookup;
mod maps;
mod newcomer;
mod plane;
mod read;

use aya_ebpf::{
    bindings::__sk_buff,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use proxy_common::{event::Hook, outcome::Outcome, parse::Link};

use crate::{
    egress::outbound,
    exit::{tc_exit, xdp_exit},
    gate::{Side, passes_by},
    ingress::{Arrival, Step, inbound},
    read::{Found, Room},
};

/// Verdict and counting on the way in, Ethernet.
#[classifier]
pub fn weir_ingress(ctx: TcContext) -> i32 {
    ingress(&ctx)
}

/// Verdict and counting on the way in, for interfaces without a link layer.
#[classifier]
pub fn weir_ingress_l3(ctx: TcContext) -> i32 {
    if passes_by(&ctx, Link::None, Side::Destination) {
        return tc_exit(Outcome::NotOurs);
    }
    tc_exit(inbound_bare(ctx.skb.skb))
}

/// Counting on the way out, Ethernet.
#[classifier]
pub fn weir_egress(ctx: TcContext) -> i32 {
    egress(&ctx)
}

/// Counting on the way out, for interfaces without a link layer.
#[classifier]
pub fn weir_egress_l3(ctx: TcContext) -> i32 {
    if passes_by(&ctx, Link::None, Side::Source) {
        return tc_exit(Outcome::NotOurs);
    }
    tc_exit(outbound_bare(ctx.skb.skb))
}

/// Verdict in XDP, for drivers that hand over one linear buffer.
#[xdp]
pub fn weir_xdp(ctx: XdpContext) -> u32 {
    xdp_exit(xdp_inbound(&ctx))
}

/// Verdict in XDP, for packets in fragments (large MTU, merged packets).
#[xdp(frags)]
pub fn weir_xdp_frags(ctx: XdpContext) -> u32 {
    xdp_exit(xdp_inbound(&ctx))
}

#[inline(always)]
fn ingress(ctx: &TcContext) -> i32 {
    if passes_by(ctx, Link::Ethernet, Side::Destination) {
        return tc_exit(Outcome::NotOurs);
    }
    tc_exit(inbound_ethernet(ctx.skb.skb))
}

#[inline(always)]
fn egress(ctx: &TcContext) -> i32 {
    if passes_by(ctx, Link::Ethernet, Side::Source) {
        return tc_exit(Outcome::NotOurs);
    }
    tc_exit(outbound_ethernet(ctx.skb.skb))
}

// Functions of their own: what passes by meets none of their code, and the stack is left
// to the line of `log`.
#[inline(never)]
fn inbound_ethernet(skb: *mut __sk_buff) -> Outcome {
    tc_inbound(&TcContext::new(skb), Link::Ethernet)
}

#[inline(never)]
fn inbound_bare(skb: *mut __sk_buff) -> Outcome {
    tc_inbound(&TcContext::new(skb), Link::None)
}

#[inline(never)]
fn outbound_ethernet(skb: *mut __sk_buff) -> Outcome {
    tc_outbound(&TcContext::new(skb), Link::Ethernet)
}

#[inline(never)]
fn outbound_bare(skb: *mut __sk_buff) -> Outcome {
    tc_outbound(&TcContext::new(skb), Link::None)
}

#[inline(always)]
fn tc_inbound(ctx: &TcContext, link: Link) -> Outcome {
    let mut room = Room::uninit();
    let (found, packet) = read::skb(ctx, link, &mut room);
    if !matches!(found, Found::Packet | Found::TinyFragment) {
        if found == Found::Other
            && !is_tagged(ctx)
            && let Some(outcome) = plane::error(ctx.skb.skb, link)
        {
            return outcome;
        }
        return found.unjudged();
    }
    // SAFETY: the context's skb is valid for the program's whole run.
    let interface = unsafe { (*ctx.skb.skb).ifindex };
    let follows = found == Found::Packet && !is_tagged(ctx);
    let skb = ctx.skb.skb;
    let step = match inbound(packet, Arrival { hook: Hook::Tc, interface, follows }) {
        Step::Begin => newcomer::begin(skb, link, packet),
        step => step,
    };
    match step {
        Step::Exit(outcome) => outcome,
        Step::Forward => plane::translate(skb, link, packet),
        Step::Begin => Outcome::Admitted,
    }
}

/// Whether a VLAN's own interface sees the packet as well. Tag 0 only sets a priority
/// (IEEE 802.1Q).
#[inline(always)]
fn is_tagged(ctx: &TcContext) -> bool {
    // SAFETY: the context's skb is valid for the program's whole run.
    let (present, tag) = unsafe { ((*ctx.skb.skb).vlan_present, (*ctx.skb.skb).vlan_tci) };
    present != 0 && tag & 0xfff != 0
}

#[inline(always)]
fn tc_outbound(ctx: &TcContext, link: Link) -> Outcome {
    let mut room = Room::uninit();
    match read::skb(ctx, link, &mut room) {
        (Found::Packet, packet) if !is_tagged(ctx) => outbound(packet),
        _ => Outcome::NotOurs,
    }
}

#[cfg_attr(feature = "log", inline(never))]
#[cfg_attr(not(feature = "log"), inline(always))]
fn xdp_inbound(ctx: &XdpContext) -> Outcome {
    let mut room = Room::uninit();
    let (found, packet) = read::xdp(ctx, &mut room);
    if !matches!(found, Found::Packet | Found::TinyFragment) {
        return found.unjudged();
    }
    let interface = ctx.ingress_ifindex() as u32;
    match inbound(packet, Arrival { hook: Hook::Xdp, interface, follows: false }) {
        Step::Exit(outcome) => outcome,
        // What passes here is followed at TC ingress.
        Step::Forward | Step::Begin => Outcome::Admitted,
    }
}

/// The kernel lends its helpers to GPL-compatible programs; ours are under either
/// licence of the project, and as an object under the GPL as well.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
