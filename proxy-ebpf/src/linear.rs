//! Headers where they lie: a buffer's linear part, without a copy.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::bpf_hdr_start_off::BPF_HDR_START_NET,
    helpers::{
        bpf_skb_change_head, bpf_skb_store_bytes,
        generated::{bpf_skb_load_bytes, bpf_skb_load_bytes_relative},
    },
    programs::TcContext,
};
use proxy_common::{
    packet::Packet,
    parse::Link,
    plain::{Glance, HEADERS4, HEADERS6, glance4, glance6, read4, read6},
};

use crate::frame::SkbFrame;

/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// Where IP's header begins of a buffer that [`has_ethernet`].
pub const NETWORK: u32 = ETHERNET as u32;
/// Lengths of IP headers without options or extensions.
pub const V4: u32 = 20;
pub const V6: u32 = 40;
/// EtherTypes as they lie in memory.
const IPV4: u16 = u16::from_ne_bytes([0x08, 0x00]);
const IPV6: u16 = u16::from_ne_bytes([0x86, 0xdd]);

/// The first bytes of what may be an IP packet.
#[derive(Clone, Copy)]
pub enum Headers<'a> {
    V4(&'a [u8; HEADERS4]),
    V6(&'a [u8; HEADERS6]),
    /// They cannot be had so.
    Unclear,
}

impl<'a> Headers<'a> {
    /// The headers of a buffer on an interface with this link layer.
    #[inline(always)]
    pub fn of(ctx: &'a TcContext, link: Link) -> Self {
        match link {
            Link::Ethernet => Self::ethernet(ctx),
            Link::None => Self::bare(ctx),
        }
    }

    /// Behind generic XDP the buffer may begin at the IP header (see [`SkbFrame`]), whose
    /// first four bits are then its version: a buffer that begins so is left alone.
    #[inline(always)]
    fn ethernet(ctx: &'a TcContext) -> Self {
        let protocol = protocol(ctx);
        let Some(link) = bytes::<ETHERNET>(ctx, 0) else {
            return Self::Unclear;
        };
        if u16::from_ne_bytes([link[12], link[13]]) != protocol {
            return Self::Unclear;
        }
        match (protocol, link[0] >> 4) {
            (IPV4, 4) | (IPV6, 6) => Self::Unclear,
            (IPV4, _) => bytes(ctx, ETHERNET).map_or(Self::Unclear, Self::V4),
            (IPV6, _) => bytes(ctx, ETHERNET).map_or(Self::Unclear, Self::V6),
            _ => Self::Unclear,
        }
    }

    #[inline(always)]
    fn bare(ctx: &'a TcContext) -> Self {
        match bytes::<HEADERS4>(ctx, 0) {
            Some(headers) if headers[0] >> 4 == 6 => bytes(ctx, 0).map_or(Self::Unclear, Self::V6),
            Some(headers) => Self::V4(headers),
            None => Self::Unclear,
        }
    }

    /// What a glance at them tells.
    #[inline(always)]
    pub fn glance(self) -> Glance {
        match self {
            Self::V4(headers) => glance4(headers),
            Self::V6(headers) => glance6(headers),
            Self::Unclear => Glance::Unclear,
        }
    }

    /// Reads the packet, if it is of the commonest; whether it is.
    #[inline(always)]
    pub fn read(self, frame: &SkbFrame, room: &mut Packet) -> bool {
        match self {
            Self::V4(headers) => read4(frame, headers, room),
            Self::V6(headers) => read6(frame, headers, room),
            Self::Unclear => false,
        }
    }
}

/// Has the program's view of the buffer begin with an Ethernet header: it does not on an
/// interface that has none, and behind generic XDP (see [`SkbFrame`]). A buffer that is sent
/// on must have one. Whether it has now.
#[inline(always)]
pub fn has_ethernet(ctx: &TcContext, link: Link) -> bool {
    begins_with_ethernet(ctx, link) || put_ethernet(ctx)
}

#[inline(always)]
fn begins_with_ethernet(ctx: &TcContext, link: Link) -> bool {
    if matches!(link, Link::None) {
        return false;
    }
    let Some(bytes) = bytes::<ETHERNET>(ctx, 0) else { return false };
    let is_typed = u16::from_ne_bytes([bytes[12], bytes[13]]) == protocol(ctx);
    if is_typed && !matches!(bytes[0] >> 4, 4 | 6) {
        return true;
    }
    let there: Option<[u8; V4 as usize]> = load(ctx, NETWORK);
    there.is_some() && there == load_network(ctx, 0)
}

/// One without addresses.
#[inline(always)]
fn put_ethernet(ctx: &TcContext) -> bool {
    let (skb, protocol) = (ctx.skb.skb, protocol(ctx));
    // SAFETY: the helpers write within the buffer or fail; nothing of it is borrowed.
    unsafe {
        bpf_skb_change_head(skb, NETWORK, 0) == 0
            && bpf_skb_store_bytes(skb, 12, (&raw const protocol).cast(), 2, 0) == 0
    }
}

/// The EtherType, as it lies in memory.
#[inline(always)]
fn protocol(ctx: &TcContext) -> u16 {
    // SAFETY: the context's skb is valid for the program's whole run.
    unsafe { (*ctx.skb.skb).protocol as u16 }
}

/// A copy of bytes from where the program's view of the buffer begins.
#[inline(always)]
pub fn load<const N: usize>(ctx: &TcContext, at: u32) -> Option<[u8; N]> {
    let mut room = MaybeUninit::<[u8; N]>::uninit();
    let (skb, to) = (ctx.skb.skb.cast(), room.as_mut_ptr().cast());
    // SAFETY: the helper writes all of the room or fails.
    unsafe {
        let read = bpf_skb_load_bytes(skb, at, to, N as u32);
        (read == 0).then(|| room.assume_init())
    }
}

/// A copy of bytes from IP's header on.
#[inline(always)]
pub fn load_network<const N: usize>(ctx: &TcContext, at: u32) -> Option<[u8; N]> {
    let mut room = MaybeUninit::<[u8; N]>::uninit();
    let (skb, to) = (ctx.skb.skb.cast(), room.as_mut_ptr().cast());
    // SAFETY: the helper writes all of the room or fails.
    unsafe {
        let read = bpf_skb_load_bytes_relative(skb, at, to, N as u32, BPF_HDR_START_NET);
        (read == 0).then(|| room.assume_init())
    }
}

/// Bytes of the linear part, where it has them.
#[inline(always)]
fn bytes<const N: usize>(ctx: &TcContext, at: usize) -> Option<&[u8; N]> {
    let start = ctx.data() + at;
    if start + N > ctx.data_end() {
        return None;
    }
    // SAFETY: inside the packet, as just compared; bytes have no alignment.
    Some(unsafe { &*(start as *const [u8; N]) })
}
