//! From a buffer to a packet.
//!
//! Reading is a function of its own: what it needs of the stack is free again when a
//! packet is judged.

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    programs::{TcContext, XdpContext},
};
use proxy_common::{
    outcome::Outcome,
    packet::Packet,
    parse::{Link, Parsed, parse},
};

use crate::{
    frame::{SkbFrame, XdpFrame},
    linear::Headers,
};

/// What was read.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// [`Parsed::Packet`].
    Packet,
    /// [`Parsed::TinyFragment`].
    TinyFragment,
    /// [`Parsed::Other`].
    Other,
    /// [`Parsed::LaterFragment`].
    LaterFragment,
    /// [`Parsed::NoTransport`].
    NoTransport,
}

impl Found {
    /// What becomes of a buffer in which no packet was found.
    #[inline(always)]
    pub fn unjudged(self) -> Outcome {
        match self {
            Self::LaterFragment => Outcome::LaterFragment,
            Self::NoTransport => Outcome::NoTransport,
            Self::Other | Self::Packet | Self::TinyFragment => Outcome::NotOurs,
        }
    }
}

/// Reads a socket buffer.
#[inline(always)]
pub fn skb(ctx: &TcContext, link: Link, packet: &mut Packet) -> Found {
    match link {
        Link::Ethernet => ethernet(ctx.skb.skb, packet),
        Link::None => bare(ctx.skb.skb, packet),
    }
}

#[inline(never)]
fn ethernet(skb: *mut __sk_buff, packet: &mut Packet) -> Found {
    buffer(&TcContext::new(skb), Link::Ethernet, packet)
}

#[inline(never)]
fn bare(skb: *mut __sk_buff, packet: &mut Packet) -> Found {
    buffer(&TcContext::new(skb), Link::None, packet)
}

#[inline(always)]
fn buffer(ctx: &TcContext, link: Link, packet: &mut Packet) -> Found {
    let frame = SkbFrame::new(ctx, link);
    if Headers::of(ctx, link).read(&frame, packet) {
        return Found::Packet;
    }
    keep(parse(&frame, link), packet)
}

/// Reads an XDP buffer.
#[inline(never)]
pub fn xdp(ctx: *mut xdp_md, packet: &mut Packet) -> Found {
    keep(parse(&XdpFrame::new(&XdpContext::new(ctx)), Link::Ethernet), packet)
}

#[inline(always)]
fn keep(parsed: Parsed, room: &mut Packet) -> Found {
    match parsed {
        Parsed::Packet(packet) => {
            *room = packet;
            Found::Packet
        }
        Parsed::TinyFragment(packet) => {
            *room = packet;
            Found::TinyFragment
        }
        Parsed::Other => Found::Other,
        Parsed::LaterFragment => Found::LaterFragment,
        Parsed::NoTransport => Found::NoTransport,
    }
}
