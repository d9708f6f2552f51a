//! The commonest packets: TCP or UDP right behind an IP header that has no options, all
//! in one piece.
//!
//! They are told by few bytes and read at once. What is said of them here is what
//! [`crate::parse::parse`] says; of every other packet nothing is said.

use crate::{
    address::{Address, PROTOCOL_TCP, PROTOCOL_UDP},
    packet::{Packet, Segment},
    parse::{Frame, UDP_HEADER},
};

/// Bytes of an IPv4 header and a TCP header, both without options.
pub const HEADERS4: usize = IPV4 + TCP;
/// Bytes of an IPv6 header and a TCP header without options.
pub const HEADERS6: usize = IPV6 + TCP;

const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;
/// The first byte of an IPv4 header without options: version 4, five words.
const VERSION4_PLAIN: u8 = 0x45;

/// What a glance at the first bytes of an IP packet tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// A whole TCP or UDP packet.
    Whole {
        /// IP protocol number.
        protocol: u8,
        /// Host byte order.
        source_port: u16,
        /// Host byte order.
        destination_port: u16,
    },
    /// Another packet, or a faulty one: to be parsed.
    Unclear,
}

/// Glances at what may be an IPv4 packet.
#[inline(always)]
pub fn glance4(bytes: &[u8; HEADERS4]) -> Glance {
    if bytes[0] != VERSION4_PLAIN {
        return Glance::Unclear;
    }
    // Neither further fragments nor an offset.
    if be16(bytes, 6) & 0x3fff != 0 {
        return Glance::Unclear;
    }
    transport(bytes, IPV4, bytes[9], transport4(bytes))
}

/// Glances at what may be an IPv6 packet.
#[inline(always)]
pub fn glance6(bytes: &[u8; HEADERS6]) -> Glance {
    if bytes[0] >> 4 != 6 {
        return Glance::Unclear;
    }
    transport(bytes, IPV6, bytes[6], transport6(bytes))
}

/// Reads the packet if [`glance4`] says that it is whole; whether it does. `frame` tells
/// what no header does.
#[inline(always)]
pub fn read4<F: Frame>(frame: &F, bytes: &[u8; HEADERS4], room: &mut Packet) -> bool {
    let Glance::Whole { protocol, source_port, destination_port } = glance4(bytes) else {
        return false;
    };
    *room = Packet {
        source: v4(bytes, 12),
        destination: v4(bytes, 16),
        source_port,
        destination_port,
        protocol,
        hops: bytes[8],
        segment: segment(frame, bytes, IPV4, protocol, transport4(bytes)),
    };
    true
}

/// As [`read4`], by [`glance6`].
#[inline(always)]
pub fn read6<F: Frame>(frame: &F, bytes: &[u8; HEADERS6], room: &mut Packet) -> bool {
    let Glance::Whole { protocol, source_port, destination_port } = glance6(bytes) else {
        return false;
    };
    *room = Packet {
        source: v6(bytes, 8),
        destination: v6(bytes, 24),
        source_port,
        destination_port,
        protocol,
        hops: bytes[7],
        segment: segment(frame, bytes, IPV6, protocol, transport6(bytes)),
    };
    true
}

/// Length of the transport, header and payload; 0 where IP's header does not say (BIG
/// TCP).
#[inline(always)]
fn transport4(bytes: &[u8]) -> u32 {
    u32::from(be16(bytes, 2)).saturating_sub(20)
}

/// As [`transport4`].
#[inline(always)]
fn transport6(bytes: &[u8]) -> u32 {
    u32::from(be16(bytes, 4))
}

/// Glances at the transport header at `at`, of a transport of `length` bytes.
#[inline(always)]
fn transport(bytes: &[u8], at: usize, protocol: u8, length: u32) -> Glance {
    let fits = match protocol {
        PROTOCOL_TCP => {
            let header = header_length(bytes, at);
            header >= 20 && header <= length
        }
        PROTOCOL_UDP => {
            let datagram = datagram_length(bytes, at);
            datagram >= UDP_HEADER && datagram <= length
        }
        _ => false,
    };
    if !fits {
        return Glance::Unclear;
    }
    Glance::Whole { protocol, source_port: be16(bytes, at), destination_port: be16(bytes, at + 2) }
}

#[inline(always)]
fn segment<F: Frame>(frame: &F, bytes: &[u8], at: usize, protocol: u8, length: u32) -> Segment {
    if protocol == PROTOCOL_UDP {
        let payload = datagram_length(bytes, at) - UDP_HEADER;
        return Segment { payload, packets: frame.merged(payload), ..Segment::default() };
    }
    let payload = length - header_length(bytes, at);
    Segment {
        sequence: be32(bytes, at + 4),
        acknowledgment: be32(bytes, at + 8),
        payload,
        packets: frame.merged(payload),
        flags: bytes[at + 13],
        pad: 0,
    }
}

/// Of TCP's header.
#[inline(always)]
fn header_length(bytes: &[u8], at: usize) -> u32 {
    u32::from(bytes[at + 12] >> 4) * 4
}

/// As UDP says: header and payload.
#[inline(always)]
fn datagram_length(bytes: &[u8], at: usize) -> u32 {
    u32::from(be16(bytes, at + 4))
}

#[inline(always)]
fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline(always)]
fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline(always)]
fn v4(bytes: &[u8], at: usize) -> Address {
    Address::v4([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline(always)]
fn v6(bytes: &[u8], at: usize) -> Address {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    Address::v6(octets)
}
