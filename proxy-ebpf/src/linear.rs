//! Headers where they lie: a buffer's linear part, without a copy.

use aya_ebpf::programs::TcContext;
use proxy_common::{
    packet::Packet,
    parse::Link,
    plain::{Glance, HEADERS4, HEADERS6, glance4, glance6, read4, read6},
};

use crate::frame::SkbFrame;

/// Length of an Ethernet header.
const ETHERNET: usize = 14;
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
        // SAFETY: the context's skb is valid for the program's whole run.
        let protocol = unsafe { (*ctx.skb.skb).protocol } as u16;
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
