//! From a buffer to a packet.
//!
//! Reading is a function of its own: what it needs of the stack is free again when a
//! packet is judged. To the verifier it is a global one, which its plain name makes it: it
//! is gone through by itself, and what calls it with nothing known of what was read. Else
//! the rest of a program would be gone through for each of many ways through a frame.

use core::mem::MaybeUninit;

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

/// Room for a packet.
pub type Room = MaybeUninit<Packet>;

/// Reads a socket buffer.
#[inline(always)]
pub fn skb<'a>(ctx: &TcContext, link: Link, room: &'a mut Room) -> (Found, &'a Packet) {
    let packet = clear(room);
    let found = match link {
        Link::Ethernet => read_ethernet(ctx.skb.skb, packet),
        Link::None => read_bare(ctx.skb.skb, packet),
    };
    (found, packet)
}

/// Reads an XDP buffer.
#[inline(always)]
pub fn xdp<'a>(ctx: &XdpContext, room: &'a mut Room) -> (Found, &'a Packet) {
    let packet = clear(room);
    (read_xdp(ctx.ctx, packet), packet)
}

/// Writes every byte of the room, padding too: on 6.1 a global function is handed nothing
/// else. By words, which LLVM must not put together to a call of `memset`: that is a loop
/// over bytes.
#[inline(always)]
fn clear(room: &mut Room) -> &mut Packet {
    let words = room.as_mut_ptr().cast::<u64>();
    for word in 0..size_of::<Packet>() / size_of::<u64>() {
        // SAFETY: within the room, which is aligned for words.
        unsafe { words.add(word).write_volatile(0) };
    }
    // SAFETY: zeros are a packet.
    unsafe { room.assume_init_mut() }
}

const _: () = assert!(size_of::<Packet>() % size_of::<u64>() == 0);
const _: () = assert!(align_of::<Packet>() == align_of::<u64>());

#[inline(never)]
#[unsafe(no_mangle)]
fn read_ethernet(skb: *mut __sk_buff, packet: *mut Packet) -> Found {
    buffer(&TcContext::new(skb), Link::Ethernet, packet)
}

#[inline(never)]
#[unsafe(no_mangle)]
fn read_bare(skb: *mut __sk_buff, packet: *mut Packet) -> Found {
    buffer(&TcContext::new(skb), Link::None, packet)
}

#[inline(never)]
#[unsafe(no_mangle)]
fn read_xdp(ctx: *mut xdp_md, packet: *mut Packet) -> Found {
    let Some(packet) = there(packet) else { return Found::Other };
    keep(parse(&XdpFrame::new(&XdpContext::new(ctx)), Link::Ethernet), packet)
}

/// The room that a global function was handed: to the verifier it may be none.
#[inline(always)]
fn there<'a>(packet: *mut Packet) -> Option<&'a mut Packet> {
    // SAFETY: made from a reference, which its maker uses again only afterwards.
    unsafe { packet.as_mut() }
}

#[inline(always)]
fn buffer(ctx: &TcContext, link: Link, packet: *mut Packet) -> Found {
    let Some(packet) = there(packet) else { return Found::Other };
    let frame = SkbFrame::new(ctx, link);
    if Headers::of(ctx, link).read(&frame, packet) {
        return Found::Packet;
    }
    keep(parse(&frame, link), packet)
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
