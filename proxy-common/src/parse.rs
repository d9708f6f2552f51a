//! The frame parser: link layer, IP, TCP or UDP into one [`Packet`].
//!
//! Every odd frame has a written outcome. Reads go through [`Frame`], so the
//! kernel programs parse packet buffers and tests parse slices by the same code.

use crate::{
    address::{Address, PROTOCOL_TCP, PROTOCOL_UDP},
    packet::{Packet, Segment},
};

/// Bytes of a frame, aligned so that fields of headers are read whole and not byte by
/// byte.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct Bytes<const N: usize>(pub [u8; N]);

impl<const N: usize> Bytes<N> {
    #[inline(always)]
    const fn be16(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    #[inline(always)]
    const fn be32(&self, at: usize) -> u32 {
        u32::from_be_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    #[inline(always)]
    fn v6(&self, at: usize) -> Address {
        let mut octets = [0; 16];
        octets.copy_from_slice(&self.0[at..at + 16]);
        Address::v6(octets)
    }

    #[inline(always)]
    const fn v4(&self, at: usize) -> Address {
        Address::v4([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }
}

/// A frame's bytes.
pub trait Frame {
    /// `N` bytes at `offset`, or `None` where the frame is shorter.
    fn read<const N: usize>(&self, offset: u32) -> Option<Bytes<N>>;
    /// Bytes in the frame, link layer included.
    fn length(&self) -> u32;
    /// Wire packets that the kernel merged into this one with `payload` bytes of
    /// payload; at least 1.
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
    /// A TCP or UDP packet, whole or a first fragment.
    Packet(Packet),
    /// A first fragment that ends within its TCP header: its ports can be judged, and
    /// the rest (flags, acknowledgment) is zero.
    TinyFragment(Packet),
    /// Neither IPv4 nor IPv6, or IP that carries none of the transports served.
    Other,
    /// A fragment other than the first.
    LaterFragment,
    /// IP whose transport header is missing, cut, behind too many headers, or such that the
    /// host drops it.
    NoTransport,
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const ETHERNET_HEADER: u32 = 14;
const VLAN_TAG: u32 = 4;
const MAX_VLAN_TAGS: u32 = 2;
/// Extension headers that are followed. The host follows any number; so many of the
/// shortest fill a packet of 1,500 bytes.
const MAX_EXTENSIONS: u32 = 184;

/// Parses one frame.
#[inline(always)]
pub fn parse<F: Frame>(frame: &F, link: Link) -> Parsed {
    match link {
        Link::Ethernet => ethernet(frame),
        Link::None => match frame.read::<1>(0) {
            Some(Bytes([first])) if first >> 4 == 4 => ipv4(frame, 0),
            Some(Bytes([first])) if first >> 4 == 6 => ipv6(frame, 0),
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
        match kind.be16(0) {
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
    /// [`PROTOCOL_TCP`] or [`PROTOCOL_UDP`].
    protocol: u8,
    /// [`Packet::hops`].
    hops: u8,
    source: Address,
    destination: Address,
    at: u32,
    /// Header and payload.
    length: u32,
    /// A first fragment: the length is that of the fragment.
    fragment: bool,
    /// IPv6, in which UDP may leave its length out (RFC 2675, 4).
    jumbo: bool,
}

/// IPv4 (RFC 791): options are skipped, later fragments have no ports.
#[inline(always)]
fn ipv4<F: Frame>(frame: &F, at: u32) -> Parsed {
    let Some(header) = frame.read::<20>(at) else {
        return Parsed::NoTransport;
    };
    let header_length = u32::from(header.0[0] & 0x0f) * 4;
    if header.0[0] >> 4 != 4 || header_length < 20 {
        return Parsed::NoTransport;
    }
    let protocol = header.0[9];
    match protocol {
        PROTOCOL_TCP | PROTOCOL_UDP => {}
        ENCRYPTED | AUTHENTICATED => return Parsed::NoTransport,
        _ => return Parsed::Other,
    }
    let fragment = header.be16(6);
    if fragment & 0x1fff != 0 {
        return Parsed::LaterFragment;
    }
    let total = u32::from(header.be16(2));
    let is_plain = header_length == 20 && fragment & 0x2000 == 0;
    transport(
        frame,
        &Transport {
            protocol,
            hops: if is_plain { header.0[8] } else { 0 },
            source: header.v4(12),
            destination: header.v4(16),
            at: at + header_length,
            length: ip_length(frame, at, total).saturating_sub(header_length),
            fragment: fragment & 0x2000 != 0,
            jumbo: false,
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
    if header.0[0] >> 4 != 6 {
        return Parsed::NoTransport;
    }
    let field = u32::from(header.be16(4));
    let end = if field == 0 { frame.length() } else { at + 40 + field };
    let mut next = header.0[6];
    let mut here = at + 40;
    let mut first_fragment = false;
    let mut followed = 0;
    while !is_transport(next) {
        if next == ENCRYPTED {
            return Parsed::NoTransport;
        }
        let Some(extension) = Extension::of(next) else {
            return Parsed::Other;
        };
        let Some(bytes) = frame.read::<4>(here) else {
            return Parsed::NoTransport;
        };
        if extension == Extension::Fragment {
            let field = bytes.be16(2);
            if field & 0xfff8 != 0 {
                return Parsed::LaterFragment;
            }
            first_fragment = field & 1 != 0;
        }
        next = bytes.0[0];
        here += extension.length(bytes.0[1]);
        // The bound stands last: the verifier of 6.1 knows no loop whose last step is
        // not a branch.
        followed += 1;
        if followed > MAX_EXTENSIONS {
            return Parsed::NoTransport;
        }
    }
    transport(
        frame,
        &Transport {
            protocol: next,
            hops: if followed == 0 { header.0[7] } else { 0 },
            source: header.v6(8),
            destination: header.v6(24),
            at: here,
            length: end.saturating_sub(here),
            fragment: first_fragment,
            jumbo: true,
        },
    )
}

/// Whether a header is a transport that is served, in one look: the verifier follows each way out of the loop
/// over extension headers on its own.
#[inline(always)]
fn is_transport(protocol: u8) -> bool {
    const SERVED: u64 = 1 << PROTOCOL_TCP | 1 << PROTOCOL_UDP;
    protocol < 64 && SERVED >> protocol & 1 == 1
}

/// Encapsulating security payload (RFC 4303): what follows is hidden.
const ENCRYPTED: u8 = 50;
/// Authentication header (RFC 4302).
const AUTHENTICATED: u8 = 51;

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
            AUTHENTICATED => Some(Self::Authentication),
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

#[inline(always)]
fn transport<F: Frame>(frame: &F, transport: &Transport) -> Parsed {
    if transport.protocol == PROTOCOL_UDP { udp(frame, transport) } else { tcp(frame, transport) }
}

/// TCP (RFC 9293).
#[inline(always)]
fn tcp<F: Frame>(frame: &F, transport: &Transport) -> Parsed {
    let Some(header) = frame.read::<20>(transport.at) else {
        return tiny(frame, transport);
    };
    let header_length = u32::from(header.0[12] >> 4) * 4;
    if header_length < 20 {
        return Parsed::NoTransport;
    }
    if transport.length < header_length {
        return tiny(frame, transport);
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
        source_port: header.be16(0),
        destination_port: header.be16(2),
        protocol: PROTOCOL_TCP,
        hops: transport.hops,
        segment: Segment {
            sequence: header.be32(4),
            acknowledgment: header.be32(8),
            payload,
            packets: frame.merged(payload),
            flags: header.0[13],
            pad: 0,
        },
    })
}

/// What ends within the TCP header. The host puts fragments together before it looks,
/// so the first eight bytes of one are enough to be judged by (RFC 1858, 3).
#[inline(always)]
fn tiny<F: Frame>(frame: &F, transport: &Transport) -> Parsed {
    let Some(start) = frame.read::<8>(transport.at) else {
        return Parsed::NoTransport;
    };
    if !transport.fragment {
        return Parsed::NoTransport;
    }
    Parsed::TinyFragment(Packet {
        source: transport.source,
        destination: transport.destination,
        source_port: start.be16(0),
        destination_port: start.be16(2),
        protocol: PROTOCOL_TCP,
        hops: 0,
        segment: Segment { sequence: start.be32(4), packets: 1, ..Segment::default() },
    })
}

/// UDP (RFC 768). What the host drops for its length is no transport: a header that is cut,
/// and a datagram that is longer than what carries it.
#[inline(always)]
fn udp<F: Frame>(frame: &F, transport: &Transport) -> Parsed {
    let Some(header) = frame.read::<8>(transport.at) else {
        return Parsed::NoTransport;
    };
    // Of a first fragment that leaves its length out no more is known than what is here.
    let length = match u32::from(header.be16(4)) {
        0 if transport.jumbo => transport.length,
        length => length,
    };
    // Each way asks once: of a jumbo both lengths are one, and were the second asked for too,
    // the verifier would know the answer, and for its sake tell apart every offset at which
    // a transport can lie.
    if length < UDP_HEADER {
        return Parsed::NoTransport;
    }
    let payload = length - UDP_HEADER;
    let packets = if transport.fragment {
        if transport.length < UDP_HEADER {
            return Parsed::NoTransport;
        }
        fragments(length, transport.length)
    } else if length > transport.length {
        return Parsed::NoTransport;
    } else {
        frame.merged(payload)
    };
    Parsed::Packet(Packet {
        source: transport.source,
        destination: transport.destination,
        source_port: header.be16(0),
        destination_port: header.be16(2),
        protocol: PROTOCOL_UDP,
        hops: transport.hops,
        segment: Segment { payload, packets, ..Segment::default() },
    })
}

/// Bytes of a UDP header.
pub(crate) const UDP_HEADER: u32 = 8;

/// In how many fragments a datagram comes of which the first carries `first` bytes: all but
/// the last carry as many, which are whole units of 8 (RFC 791, 3.2; RFC 8200, 4.5).
#[inline(always)]
fn fragments(datagram: u32, first: u32) -> u16 {
    u16::try_from(datagram.div_ceil(first & !7)).unwrap_or(u16::MAX)
}
