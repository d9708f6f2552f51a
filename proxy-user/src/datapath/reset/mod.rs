//! Answers to denied clients, by a raw socket: what the host's own stack would have sent
//! were nothing listening.

mod icmp;
mod tcp;

use std::{
    net::{IpAddr, SocketAddrV4, SocketAddrV6},
    os::fd::OwnedFd,
};

use proxy_common::{
    address::{FlowKey, PROTOCOL_TCP, PROTOCOL_UDP},
    event::DeniedEvent,
    flow::{FlowState, Half},
    packet::Segment,
};
use rustix::{
    io,
    net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket},
};

/// The raw sockets.
pub struct Resetter {
    v4: OwnedFd,
    v6: Option<OwnedFd>,
}

impl Resetter {
    /// Opens the sockets; a host without IPv6 has but one.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            v4: socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW))?,
            v6: socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::RAW)).ok(),
        })
    }

    /// Answers one denied packet: a TCP segment with an RST, a UDP datagram with ICMP's
    /// port unreachable.
    pub fn answer(&self, event: &DeniedEvent) -> io::Result<()> {
        let answer = if event.key.protocol == u32::from(PROTOCOL_UDP) {
            icmp::port_unreachable(&event.key, event.segment.payload)
        } else {
            tcp::answer(&event.key, &event.segment)
                .map(|rst| Message { protocol: PROTOCOL_TCP, bytes: rst.to_vec() })
        };
        answer.map_or(Ok(()), |message| self.send(&event.key, &message, event.interface))
    }

    /// Ends the client's side of a TCP flow whose other end is no socket of this host.
    pub fn cut(&self, key: &FlowKey, state: &FlowState) -> io::Result<()> {
        self.cut_half(key, &state.down)
    }

    /// Ends the side of a TCP flow that `key` has as the client, to which `half` was sent.
    pub fn cut_half(&self, key: &FlowKey, half: &Half) -> io::Result<()> {
        if key.protocol != u32::from(PROTOCOL_TCP) {
            return Ok(());
        }
        for rst in tcp::cut(key, half) {
            self.send(key, &Message { protocol: PROTOCOL_TCP, bytes: rst.to_vec() }, 0)?;
        }
        Ok(())
    }

    /// Answers a segment of a flow that is over with an RST, where its sender takes it.
    pub fn reset(&self, key: &FlowKey, segment: &Segment) -> io::Result<()> {
        if key.protocol != u32::from(PROTOCOL_TCP) {
            return Ok(());
        }
        let Some(rst) = tcp::answer(key, segment) else { return Ok(()) };
        self.send(key, &Message { protocol: PROTOCOL_TCP, bytes: rst.to_vec() }, 0)
    }

    /// Answers a SYN of this sequence number with an RST.
    pub fn refuse(&self, key: &FlowKey, sequence: u32) -> io::Result<()> {
        let syn = Segment { sequence, flags: Segment::SYN, ..Segment::default() };
        self.reset(key, &syn)
    }

    /// Tells the sender of a packet that no more than `mtu` bytes go on.
    pub fn too_big(&self, key: &FlowKey, segment: &Segment, mtu: u16) -> io::Result<()> {
        let message = icmp::too_big(key, segment, mtu);
        message.map_or(Ok(()), |message| self.send(key, &message, 0))
    }

    fn send(&self, key: &FlowKey, message: &Message, interface: u32) -> io::Result<()> {
        let Message { protocol, bytes } = message;
        match (IpAddr::from(key.service), IpAddr::from(key.client)) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let header = ipv4_header(from.octets(), to.octets(), *protocol, bytes.len());
                let packet = [&header, bytes.as_slice()].concat();
                sendto(&self.v4, &packet, SendFlags::DONTWAIT, &SocketAddrV4::new(to, 0))?;
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let Some(v6) = &self.v6 else { return Ok(()) };
                let scope = if to.is_unicast_link_local() { interface } else { 0 };
                let header = ipv6_header(from.octets(), to.octets(), *protocol, bytes.len());
                let packet = [&header, bytes.as_slice()].concat();
                sendto(v6, &packet, SendFlags::DONTWAIT, &SocketAddrV6::new(to, 0, 0, scope))?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// What an IP packet carries.
struct Message {
    protocol: u8,
    bytes: Vec<u8>,
}

/// RFC 791, around `length` bytes; the kernel fills in checksum and identification
/// (raw(7)). A length that cannot be written is cut to the most that can.
fn ipv4_header(from: [u8; 4], to: [u8; 4], protocol: u8, length: usize) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&be16(20 + length));
    header[8] = 64;
    header[9] = protocol;
    header[12..16].copy_from_slice(&from);
    header[16..20].copy_from_slice(&to);
    header
}

/// RFC 8200, 3, around `length` bytes, cut likewise.
fn ipv6_header(from: [u8; 16], to: [u8; 16], protocol: u8, length: usize) -> [u8; 40] {
    let mut header = [0; 40];
    header[0] = 0x60;
    header[4..6].copy_from_slice(&be16(length));
    header[6] = protocol;
    header[7] = 64;
    header[8..24].copy_from_slice(&from);
    header[24..40].copy_from_slice(&to);
    header
}

fn be16(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// The Internet checksum (RFC 1071) of what a number of bytes are in sequence, each of
/// an even number.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks_exact(2));
    let mut sum: u32 = words.map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}
