//! RSTs to clients, by a raw socket: what the host's own stack would have sent.

use std::{
    net::{IpAddr, SocketAddrV4, SocketAddrV6},
    os::fd::OwnedFd,
};

use proxy_common::{
    address::{FlowKey, PROTOCOL_TCP},
    event::DeniedEvent,
    flow::{FlowState, Half},
    packet::Segment,
};
use rustix::{
    io,
    net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket},
};

const TCP_HEADER: usize = 20;

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

    /// Answers one denied packet (RFC 9293, 3.10.7.1). An RST is never answered.
    pub fn answer(&self, event: &DeniedEvent) -> io::Result<()> {
        let Some(header) = answer_header(&event.key, &event.segment) else {
            return Ok(());
        };
        self.send(&event.key, &header, event.interface)
    }

    /// Ends the client's side of a flow whose other end is no socket of this host.
    pub fn cut(&self, key: &FlowKey, state: &FlowState) -> io::Result<()> {
        for sequence in expected(&state.down) {
            self.send(key, &header(key, sequence, 0, Segment::RST), 0)?;
        }
        Ok(())
    }

    fn send(&self, key: &FlowKey, header: &[u8], interface: u32) -> io::Result<()> {
        match (IpAddr::from(key.service), IpAddr::from(key.client)) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let packet = [ipv4_header(from.octets(), to.octets()).as_slice(), header].concat();
                sendto(&self.v4, &packet, SendFlags::DONTWAIT, &SocketAddrV4::new(to, 0))?;
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let Some(v6) = &self.v6 else { return Ok(()) };
                let scope = if to.is_unicast_link_local() { interface } else { 0 };
                let packet = [ipv6_header(from.octets(), to.octets()).as_slice(), header].concat();
                sendto(v6, &packet, SendFlags::DONTWAIT, &SocketAddrV6::new(to, 0, 0, scope))?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn answer_header(key: &FlowKey, segment: &Segment) -> Option<[u8; TCP_HEADER]> {
    if segment.has(Segment::RST) {
        return None;
    }
    let (sequence, acknowledgment, flags) = if segment.has(Segment::ACK) {
        (segment.acknowledgment, 0, Segment::RST)
    } else {
        (0, segment.sequence.wrapping_add(segment.space()), Segment::RST | Segment::ACK)
    };
    Some(header(key, sequence, acknowledgment, flags))
}

/// Where a client takes an RST: at the next number that it expects (RFC 5961, 3.2).
/// That is the one which it acknowledged last, or, with its ACK still to come, the one
/// after all that was sent.
#[allow(clippy::cast_possible_truncation, reason = "sequence numbers are positions modulo 2^32")]
fn expected(down: &Half) -> impl Iterator<Item = u32> {
    let later = (down.sent != down.acked).then_some(down.sent);
    let base = down.base;
    [down.acked].into_iter().chain(later).map(move |position| base.wrapping_add(position as u32))
}

fn header(key: &FlowKey, sequence: u32, acknowledgment: u32, flags: u8) -> [u8; TCP_HEADER] {
    let mut header = [0; TCP_HEADER];
    header[0..2].copy_from_slice(&key.service_port.to_be_bytes());
    header[2..4].copy_from_slice(&key.client_port.to_be_bytes());
    header[4..8].copy_from_slice(&sequence.to_be_bytes());
    header[8..12].copy_from_slice(&acknowledgment.to_be_bytes());
    header[12] = 5 << 4;
    header[13] = flags;
    let sum = checksum(key, &header);
    header[16..18].copy_from_slice(&sum.to_be_bytes());
    header
}

/// RFC 9293, 3.1: over a pseudo-header of addresses, protocol and length.
fn checksum(key: &FlowKey, header: &[u8; TCP_HEADER]) -> u16 {
    let addresses = match (key.service.as_v4(), key.client.as_v4()) {
        (Some(from), Some(to)) => [from, to].concat(),
        _ => [key.service.octets(), key.client.octets()].concat(),
    };
    let pseudo = [0, PROTOCOL_TCP, 0, 20];
    let words =
        addresses.chunks_exact(2).chain(pseudo.chunks_exact(2)).chain(header.chunks_exact(2));
    let mut sum: u32 = words.map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

/// RFC 791; the kernel fills in checksum and identification (raw(7)).
fn ipv4_header(from: [u8; 4], to: [u8; 4]) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[3] = 40;
    header[8] = 64;
    header[9] = PROTOCOL_TCP;
    header[12..16].copy_from_slice(&from);
    header[16..20].copy_from_slice(&to);
    header
}

/// RFC 8200, 3.
fn ipv6_header(from: [u8; 16], to: [u8; 16]) -> [u8; 40] {
    let mut header = [0; 40];
    header[0] = 0x60;
    header[5] = 20;
    header[6] = PROTOCOL_TCP;
    header[7] = 64;
    header[8..24].copy_from_slice(&from);
    header[24..40].copy_from_slice(&to);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_reset_where_it_expects_the_next_byte() {
        let at = |base, acked, sent| -> Vec<u32> {
            expected(&Half { base, known: 1, acked, sent, ..Half::default() }).collect()
        };
        assert_eq!(at(100, 50, 50), [150]);
        assert_eq!(at(100, 50, 80), [150, 180]);
        assert_eq!(at(u32::MAX, 1 << 32, (1 << 32) + 2), [u32::MAX, 1]);
    }
}
