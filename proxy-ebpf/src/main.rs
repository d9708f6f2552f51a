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
mod deny;
mod egress;
mod exit;
mod frame;
mod handshake;
mod ingress;
mod log;
mod lookup;
mod maps;

use aya_ebpf::{
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use proxy_common::{
    event::Hook,
    outcome::Outcome,
    parse::{Link, Parsed, parse},
};

use crate::{
    egress::outbound,
    exit::{tc_exit, xdp_exit},
    frame::{SkbFrame, XdpFrame},
    ingress::{Arrival, inbound},
};

/// Verdict and counting on the way in, Ethernet.
#[classifier]
pub fn weir_ingress(ctx: TcContext) -> i32 {
    tc_exit(tc_inbound(&ctx, Link::Ethernet))
}

/// Verdict and counting on the way in, for interfaces without a link layer.
#[classifier]
pub fn weir_ingress_l3(ctx: TcContext) -> i32 {
    tc_exit(tc_inbound(&ctx, Link::None))
}

/// Counting on the way out, Ethernet.
#[classifier]
pub fn weir_egress(ctx: TcContext) -> i32 {
    tc_exit(tc_outbound(&ctx, Link::Ethernet))
}

/// Counting on the way out, for interfaces without a link layer.
#[classifier]
pub fn weir_egress_l3(ctx: TcContext) -> i32 {
    tc_exit(tc_outbound(&ctx, Link::None))
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

// With the feature this and its like leave the stack to the line: see `log`.
#[cfg_attr(feature = "log", inline(never))]
#[cfg_attr(not(feature = "log"), inline(always))]
fn tc_inbound(ctx: &TcContext, link: Link) -> Outcome {
    match parse(&SkbFrame::new(ctx, link), link) {
        Parsed::Packet(packet) => inbound(&packet, tc_arrival(ctx, !is_tagged(ctx))),
        Parsed::TinyFragment(packet) => inbound(&packet, tc_arrival(ctx, false)),
        odd => unjudged(odd),
    }
}

#[inline(always)]
fn tc_arrival(ctx: &TcContext, follows: bool) -> Arrival {
    // SAFETY: the context's skb is valid for the program's whole run.
    let interface = unsafe { (*ctx.skb.skb).ifindex };
    Arrival { hook: Hook::Tc, interface, follows }
}

/// Whether a VLAN's own interface sees the packet as well. Tag 0 only sets a priority
/// (IEEE 802.1Q).
#[inline(always)]
fn is_tagged(ctx: &TcContext) -> bool {
    // SAFETY: the context's skb is valid for the program's whole run.
    let (present, tag) = unsafe { ((*ctx.skb.skb).vlan_present, (*ctx.skb.skb).vlan_tci) };
    present != 0 && tag & 0xfff != 0
}

#[cfg_attr(feature = "log", inline(never))]
#[cfg_attr(not(feature = "log"), inline(always))]
fn xdp_inbound(ctx: &XdpContext) -> Outcome {
    match parse(&XdpFrame::new(ctx), Link::Ethernet) {
        Parsed::Packet(packet) | Parsed::TinyFragment(packet) => {
            let interface = ctx.ingress_ifindex() as u32;
            inbound(&packet, Arrival { hook: Hook::Xdp, interface, follows: false })
        }
        odd => unjudged(odd),
    }
}

#[cfg_attr(feature = "log", inline(never))]
#[cfg_attr(not(feature = "log"), inline(always))]
fn tc_outbound(ctx: &TcContext, link: Link) -> Outcome {
    match parse(&SkbFrame::new(ctx, link), link) {
        Parsed::Packet(packet) if !is_tagged(ctx) => outbound(&packet),
        _ => Outcome::NotOurs,
    }
}

#[inline(always)]
fn unjudged(parsed: Parsed) -> Outcome {
    match parsed {
        Parsed::LaterFragment => Outcome::LaterFragment,
        Parsed::NoTransport => Outcome::NoTransport,
        Parsed::Other | Parsed::Packet(_) | Parsed::TinyFragment(_) => Outcome::NotOurs,
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
