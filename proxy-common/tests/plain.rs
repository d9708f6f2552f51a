//! What is told at a glance is what the parser tells.

mod slice;

use proptest::prelude::*;
use proxy_common::{
    packet::Packet,
    parse::{Link, Parsed, parse},
    plain::{Glance, HEADERS4, HEADERS6, glance4, glance6, read4, read6},
};
use slice::Slice;

/// A TCP header without options, and what follows.
fn tcp(payload: u8) -> Vec<u8> {
    let mut bytes = vec![0x9c, 0x40, 0, 22, 0, 0, 0, 7, 0, 0, 1, 9, 0x50, 2, 0, 0, 0, 0, 0, 0];
    bytes.resize(bytes.len() + usize::from(payload), 0xaa);
    bytes
}

/// A UDP header and what follows.
fn udp(payload: u8) -> Vec<u8> {
    let mut bytes = vec![0x9c, 0x40, 0, 22, 0, 8 + payload, 0, 0];
    bytes.resize(bytes.len() + usize::from(payload), 0xaa);
    bytes
}

/// A correct IPv4 packet.
fn packet4(protocol: u8, transport: &[u8]) -> Vec<u8> {
    let length = u8::try_from(20 + transport.len()).expect("short");
    let mut bytes = vec![0x45, 0, 0, length, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    bytes.extend([198, 51, 100, 7, 192, 0, 2, 1]);
    bytes.extend(transport);
    bytes
}

/// A correct IPv6 packet.
fn packet6(protocol: u8, transport: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0, 0];
    bytes.extend([u8::try_from(transport.len()).expect("short"), protocol, 64]);
    bytes.extend(1..=32);
    bytes.extend(transport);
    bytes
}

/// Correct packets of both protocols and families with so much payload.
fn packets(payload: u8) -> [Vec<u8>; 4] {
    let (tcp, udp) = (tcp(payload), udp(payload));
    [packet4(6, &tcp), packet4(17, &udp), packet6(6, &tcp), packet6(17, &udp)]
}

/// What is said of a packet at a glance, and the packet that is then read.
fn glance(bytes: &[u8]) -> (Glance, Option<Packet>) {
    let mut packet = Packet::default();
    let (glance, read) = if bytes.first().is_some_and(|first| first >> 4 == 6) {
        let Some(headers) = bytes.first_chunk::<HEADERS6>() else {
            return (Glance::Unclear, None);
        };
        (glance6(headers), read6(&Slice(bytes), headers, &mut packet))
    } else {
        let Some(headers) = bytes.first_chunk::<HEADERS4>() else {
            return (Glance::Unclear, None);
        };
        (glance4(headers), read4(&Slice(bytes), headers, &mut packet))
    };
    (glance, read.then_some(packet))
}

fn agrees(bytes: &[u8]) {
    let parsed = parse(&Slice(bytes), Link::None);
    match glance(bytes) {
        (Glance::Whole { protocol, source_port, destination_port }, Some(packet)) => {
            assert_eq!(parsed, Parsed::Packet(packet));
            assert_eq!(protocol, packet.protocol);
            assert_eq!(source_port, packet.source_port);
            assert_eq!(destination_port, packet.destination_port);
        }
        (Glance::Unclear, None) => {}
        (glance, read) => panic!("{glance:?}, but {read:?}"),
    }
}

proptest! {
    /// Mutations of good packets, of which most fall into the headers.
    #[test]
    fn a_glance_says_what_the_parser_says(
        payload in 0u8..64,
        which in 0usize..4,
        changes in prop::collection::vec((0usize..60, any::<u8>()), 0..4),
        length in 30usize..140,
    ) {
        let mut bytes = packets(payload)[which].clone();
        let end = bytes.len();
        for (at, value) in changes {
            bytes[at % end] = value;
        }
        bytes.truncate(length);
        agrees(&bytes);
    }
}

/// Every field of the headers, with every value.
#[test]
fn no_field_is_forgotten() {
    for good in [packets(30), packets(13)].into_iter().flatten() {
        for at in 0..good.len().min(60) {
            for value in 0..=u8::MAX {
                let mut bytes = good.clone();
                bytes[at] = value;
                agrees(&bytes);
            }
        }
    }
}

#[test]
fn the_commonest_are_told() {
    // What is shorter than a TCP header is parsed.
    for bytes in [packets(12), packets(33)].into_iter().flatten() {
        assert!(matches!(glance(&bytes), (Glance::Whole { destination_port: 22, .. }, Some(_))));
    }
}
