//! SYNs written by hand: any source, any number, and exact repeats.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

use crate::ns::Namespace;

const IP_HEADER: usize = 20;
const TCP_HEADER: usize = 20;
const PROTOCOL_TCP: u32 = 6;
/// As the pseudo header has it.
const TCP_HEADER_LENGTH: u32 = 20;

/// One SYN.
#[derive(Clone, Copy, Debug)]
pub struct Syn {
    /// Who it claims to come from.
    pub source: SocketAddrV4,
    /// Where it goes.
    pub destination: SocketAddrV4,
    /// Initial sequence number.
    pub sequence: u32,
}

/// Sends SYNs from a namespace, as fast as they leave.
pub fn send(namespace: &Namespace, syns: impl IntoIterator<Item = Syn> + Send) -> Result<()> {
    let sent = namespace.within(|| -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP))?;
        socket.set_header_included_v4(true)?;
        for syn in syns {
            send_one(&socket, &syn)?;
        }
        Ok(())
    })?;
    sent.context("sending SYNs")
}

fn send_one(socket: &Socket, syn: &Syn) -> io::Result<()> {
    let packet = syn.packet();
    loop {
        match socket.send_to(&packet, &syn.destination.into()) {
            // The link's queue is full.
            Err(error) if error.raw_os_error() == Some(ENOBUFS) => std::thread::yield_now(),
            result => return result.map(drop),
        }
    }
}

const ENOBUFS: i32 = 105;

impl Syn {
    /// The IP packet. The kernel fills in the IP header's checksum and length.
    fn packet(&self) -> [u8; IP_HEADER + TCP_HEADER] {
        let mut packet = [0; IP_HEADER + TCP_HEADER];
        let (ip, tcp) = packet.split_at_mut(IP_HEADER);
        ip[0] = 0x45;
        ip[8] = 64;
        ip[9] = 6;
        ip[12..16].copy_from_slice(&self.source.ip().octets());
        ip[16..20].copy_from_slice(&self.destination.ip().octets());
        tcp[0..2].copy_from_slice(&self.source.port().to_be_bytes());
        tcp[2..4].copy_from_slice(&self.destination.port().to_be_bytes());
        tcp[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        tcp[12] = 5 << 4;
        tcp[13] = 0x02;
        tcp[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        let sum = checksum(&ip[12..20], tcp);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        packet
    }
}

/// TCP's checksum; `addresses` are source and destination.
fn checksum(addresses: &[u8], segment: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u32 {
        bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
    };
    let sum = words(addresses) + words(segment) + PROTOCOL_TCP + TCP_HEADER_LENGTH;
    // Carries are added until there is none: twice suffices for so few words.
    let folded = (sum & 0xffff) + (sum >> 16);
    let [_, _, high, low] = ((folded & 0xffff) + (folded >> 16)).to_be_bytes();
    !u16::from_be_bytes([high, low])
}

/// `count` different addresses between 11.0.0.0 and 99.255.255.255, none of the
/// lab's and none that is exempt; equal seeds give equal addresses.
pub fn random_sources(seed: u32, count: usize) -> impl Iterator<Item = Ipv4Addr> + Send {
    // An odd factor permutes the 32-bit numbers: no address comes twice.
    let start = seed.wrapping_mul(0x9e37_79b9);
    let all = (0..u32::MAX).map(move |n| n.wrapping_add(start).wrapping_mul(0x9e37_79b1));
    all.map(Ipv4Addr::from).filter(|address| (11..=99).contains(&address.octets()[0])).take(count)
}
