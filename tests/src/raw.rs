//! SYNs written by hand: any source, any number, and exact repeats.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

use crate::ns::Namespace;

const TCP_HEADER: u8 = 20;
const PROTOCOL_TCP: u8 = 6;

/// One SYN.
#[derive(Clone, Copy, Debug)]
pub struct Syn {
    /// Who it claims to come from.
    pub source: SocketAddr,
    /// Where it goes, by the same protocol.
    pub destination: SocketAddr,
    /// Initial sequence number.
    pub sequence: u32,
}

/// Sends SYNs from a namespace, as fast as they leave.
pub fn send(namespace: &Namespace, syns: impl IntoIterator<Item = Syn> + Send) -> Result<()> {
    let sent = namespace.within(|| -> io::Result<()> {
        let sender = Sender::open()?;
        syns.into_iter().try_for_each(|syn| sender.send(&syn))
    })?;
    sent.context("sending SYNs")
}

/// Sockets to which whole packets are written.
struct Sender {
    v4: Socket,
    v6: Socket,
}

impl Sender {
    fn open() -> io::Result<Self> {
        let v4 = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP))?;
        v4.set_header_included_v4(true)?;
        let v6 = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::TCP))?;
        v6.set_header_included_v6(true)?;
        Ok(Self { v4, v6 })
    }

    fn send(&self, syn: &Syn) -> io::Result<()> {
        let packet = syn.packet();
        let socket = if syn.destination.is_ipv4() { &self.v4 } else { &self.v6 };
        // Raw sockets of IPv6 take the port for a protocol (ipv6(7)).
        let to = SocketAddr::new(syn.destination.ip(), 0).into();
        loop {
            match socket.send_to(&packet, &to) {
                // The link's queue is full.
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => std::thread::yield_now(),
                result => return result.map(drop),
            }
        }
    }
}

const ENOBUFS: i32 = 105;

impl Syn {
    /// The IP packet. The kernel fills in what IPv4's header lacks.
    fn packet(&self) -> Vec<u8> {
        let addresses = [octets(self.source.ip()), octets(self.destination.ip())].concat();
        let mut packet = if self.source.is_ipv4() {
            vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, PROTOCOL_TCP, 0, 0]
        } else {
            vec![0x60, 0, 0, 0, 0, TCP_HEADER, PROTOCOL_TCP, 64]
        };
        packet.extend(&addresses);
        packet.extend(self.segment(&addresses));
        packet
    }

    fn segment(&self, addresses: &[u8]) -> [u8; TCP_HEADER as usize] {
        let mut tcp = [0; TCP_HEADER as usize];
        tcp[0..2].copy_from_slice(&self.source.port().to_be_bytes());
        tcp[2..4].copy_from_slice(&self.destination.port().to_be_bytes());
        tcp[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        tcp[12] = 5 << 4;
        tcp[13] = 0x02;
        tcp[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        let sum = checksum(addresses, &tcp);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        tcp
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// TCP's checksum; `addresses` are source and destination.
fn checksum(addresses: &[u8], segment: &[u8; TCP_HEADER as usize]) -> u16 {
    let words = |bytes: &[u8]| -> u32 {
        bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
    };
    // The pseudo header's protocol and length count as words.
    let pseudo = u32::from(PROTOCOL_TCP) + words(&[0, TCP_HEADER]);
    let sum = words(addresses) + words(segment) + pseudo;
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

/// `count` different addresses of `2a00::/16`, each in a /48 of its own.
pub fn random_sources6(seed: u32, count: usize) -> impl Iterator<Item = Ipv6Addr> + Send {
    random_sources(seed, count).map(|source| {
        let [a, b, c, d] = source.octets().map(u16::from);
        Ipv6Addr::new(0x2a00, a << 8 | b, c << 8 | d, 0, 0, 0, 0, 1)
    })
}
