//! The frame parser: link layer, IP, TCP into one [`Packet`].
//!
//! Every odd frame has a written outcome. Reads go through [`Frame`], so the
//! kernel programs parse packet buffers and tests parse slices by the same code.

use crate::{
    address::{Address, PROTOCOL_TCP},
    packet::{Packet, Segment},
};

/// A frame's bytes.
pub trait Frame {
    /// `N` bytes at `offset`, or `None` where the frame is shorter.
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;
    /// Bytes in the frame, link layer included.
    fn length(&self) -> u32;
    /// Wire packets that the kernel merged into this one with `payload` bytes of
    /// TCP payload; at least 1.
    fn merged(&self, payload: u32) -> u16;
}

/// What stands at a frame's beginning; fixed for each interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Ethernet, with up to two VLAN tags (IEEE 802.1Q, 802.1ad).
    Ethernet,
    /// The IP header itself: wg, tun, ppp.
    None,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A TCP packet, whole or a first fragment.
    Packet(Packet),
    /// Neither IPv4 nor IPv6, or IP that carries none of the transports served.
    Other,
    /// A fragment other than the first.
    LaterFragment,
    /// IP whose transport header is missing, cut or behind too many headers.
    NoTransport,
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const ETHERNET_HEADER: u32 = 14;
const VLAN_TAG: u32 = 4;
const MAX_VLAN_TAGS: u32 = 2;
/// Extension headers that are followed; a packet with more has no transport.
const MAX_EXTENSIONS: u32 = 8;

/// Parses one frame.
#[inline(always)]
pub fn parse<F: Frame>(frame: &F, link: Link) -> Parsed {
    match link {
        Link::Ethernet => ethernet(frame),
        Link::None => match frame.read::<1>(0) {
            Some([first]) if first >> 4 == 4 => ipv4(frame, 0),
            Some([first]) if first >> 4 == 6 => ipv6(frame, 0),
            _ => Parsed::Other,
        },
    }
}

#[inline(always)]
fn ethernet<F: Frame>(frame: &F) -> Parsed {
    let mut at = ETHERNET_HEADER;
    let mut tags = 0;
    loop {
        let Some(kind) = frame.read::<2>(at - 2) else {
            return Parsed::Other;
        };
        match u16::from_be_bytes(kind) {
            ETHERTYPE_IPV4 => return ipv4(frame, at),
            ETHERTYPE_IPV6 => return ipv6(frame, at),
            ETHERTYPE_VLAN | ETHERTYPE_QINQ if tags < MAX_VLAN_TAGS => {
                at += VLAN_TAG;
                tags += 1;
            }
            _ => return Parsed::Other,
        }
    }
}

/// Where the transport header lies, and how long the packet is from there.
struct Transport {
    source: Address,
    destination: Address,
    at: u32,
    /// Header and payload.
    length: u32,
    /// A first fragment: the length is that of the fragment.
    fragment: bool,
}

/// IPv4 (RFC 791): options are skipped, later fragments have no ports.
#[inline(always)]
fn ipv4<F: Frame>(frame: &F, at: u32) -> Parsed {
    let Some(header) = frame.read::<20>(at) else {
        return Parsed::NoTransport;
    };
    let header_length = u32::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_length < 20 {
        return Parsed::NoTransport;
    }
    if header[9] != PROTOCOL_TCP {
        return Parsed::Other;
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    if fragment & 0x1fff != 0 {
        return Parsed::LaterFragment;
    }
    let total = u32::from(u16::from_be_bytes([header[2], header[3]]));
    tcp(
        frame,
        &Transport {
            source: Address::v4([header[12], header[13], header[14], header[15]]),
            destination: Address::v4([header[16], header[17], header[18], header[19]]),
            at: at + header_length,
            length: ip_length(frame, at, total).saturating_sub(header_length),
            fragment: fragment & 0x2000 != 0,
        },
    )
}

/// A length of 0 stands for a packet too big for its field (BIG TCP).
#[inline(always)]
fn ip_length<F: Frame>(frame: &F, at: u32, field: u32) -> u32 {
    if field == 0 { frame.length().saturating_sub(at) } else { field }
}

/// IPv6 (RFC 8200): extension headers are followed to the transport.
#[inline(always)]
fn ipv6<F: Frame>(frame: &F, at: u32) -> Parsed {
    let Some(header) = frame.read::<40>(at) else {
        return Parsed::NoTransport;
    };
    if header[0] >> 4 != 6 {
        return Parsed::NoTransport;
    }
    let mut source = [0; 16];
    let mut destination = [0; 16];
    source.copy_from_slice(&header[8..24]);
    destination.copy_from_slice(&header[24..40]);
    let field = u32::from(u16::from_be_bytes([header[4], header[5]]));
    let end = if field == 0 { frame.length() } else { at + 40 + field };
    let mut next = header[6];
    let mut here = at + 40;
    let mut first_fragment = false;
    let mut followed = 0;
    while next != PROTOCOL_TCP {
        let Some(extension) = Extension::of(next) else {
            return Parsed::Other;
        };
        let Some(bytes) = frame.read::<4>(here) else {
            return Parsed::NoTransport;
        };
        if extension == Extension::Fragment {
            let field = u16::from_be_bytes([bytes[2], bytes[3]]);
            if field & 0xfff8 != 0 {
                return Parsed::LaterFragment;
            }
            first_fragment = field & 1 != 0;
        }
        next = bytes[0];
        here += extension.length(bytes[1]);
        // The bound stands last: the verifier of 6.1 knows no loop whose last step is
        // not a branch.
        followed += 1;
        if followed > MAX_EXTENSIONS {
            return Parsed::NoTransport;
        }
    }
    tcp(
        frame,
        &Transport {
            source: Address::v6(source),
            destination: Address::v6(destination),
            at: here,
            length: end.saturating_sub(here),
            fragment: first_fragment,
        },
    )
}

/// IPv6 extension headers by how their length is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extension {
    /// Hop-by-hop, routing, destination options, mobility, HIP, shim6: units of 8
    /// bytes, the first not counted.
    Options,
    /// Eight bytes.
    Fragment,
    /// Units of 4 bytes, less 2 (RFC 4302, 2.2).
    Authentication,
}

impl Extension {
    #[inline(always)]
    fn of(header: u8) -> Option<Self> {
        match header {
            0 | 43 | 60 | 135 | 139 | 140 => Some(Self::Options),
            44 => Some(Self::Fragment),
            51 => Some(Self::Authentication),
            _ => None,
        }
    }

    #[inline(always)]
    fn length(self, field: u8) -> u32 {
        match self {
            Self::Options => (u32::from(field) + 1) * 8,
            Self::Fragment => 8,
            Self::Authentication => (u32::from(field) + 2) * 4,
        }
    }
}

/// TCP (RFC 9293).
#[inline(always)]
fn tcp<F: Frame>(frame: &F, transport: &Transport) -> Parsed {
    let Some(header) = frame.read::<20>(transport.at) else {
        return Parsed::NoTransport;
    };
    let header_length = u32::from(header[12] >> 4) * 4;
    if header_length < 20 || transport.length < header_length {
        return Parsed::NoTransport;
    }
    let payload = if transport.fragment {
        // Only the first piece is here: the bound of what it may hold.
        u32::from(u16::MAX)
    } else {
        transport.length - header_length
    };
    Parsed::Packet(Packet {
        source: transport.source,
        destination: transport.destination,
        source_port: u16::from_be_bytes([header[0], header[1]]),
        destination_port: u16::from_be_bytes([header[2], header[3]]),
        protocol: PROTOCOL_TCP,
        pad: [0; 3],
        segment: Segment {
            sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            acknowledgment: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            payload,
            packets: frame.merged(payload),
            flags: header[13],
            pad: 0,
        },
    })
}
