//! What is told at a glance is what the parser tells.

mod slice;

use proptest::prelude::*;
use proxy_common::{
    packet::Packet,
    parse::{Link, Parsed, parse},
    plain::{Glance, HEADERS4, HEADERS6, glance4, glance6, read4, read6},
};
use slice::Slice;

/// A TCP header without options.
const TCP: [u8; 20] = [0x9c, 0x40, 0, 22, 0, 0, 0, 7, 0, 0, 1, 9, 0x50, 2, 0, 0, 0, 0, 0, 0];

/// A correct IPv4 packet with so much payload.
fn packet4(payload: u8) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 40 + payload, 0, 0, 0x40, 0, 64, 6, 0, 0];
    bytes.extend([198, 51, 100, 7, 192, 0, 2, 1]);
    bytes.extend(TCP);
    bytes.resize(bytes.len() + usize::from(payload), 0xaa);
    bytes
}

/// A correct IPv6 packet with so much payload.
fn packet6(payload: u8) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0, 0, 20 + payload, 6, 64];
    bytes.extend(1..=32);
    bytes.extend(TCP);
    bytes.resize(bytes.len() + usize::from(payload), 0xaa);
    bytes
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
        (Glance::Tcp { source_port, destination_port }, Some(packet)) => {
            assert_eq!(parsed, Parsed::Packet(packet));
            assert_eq!(source_port, packet.source_port);
            assert_eq!(destination_port, packet.destination_port);
        }
        (Glance::Udp, None) => assert_eq!(parsed, Parsed::Other),
        (Glance::Unclear, None) => {}
        (glance, read) => panic!("{glance:?}, but {read:?}"),
    }
}

proptest! {
    /// Mutations of good packets, of which most fall into the headers.
    #[test]
    fn a_glance_says_what_the_parser_says(
        payload in 0u8..64,
        six in any::<bool>(),
        changes in prop::collection::vec((0usize..60, any::<u8>()), 0..4),
        length in 30usize..140,
    ) {
        let mut bytes = if six { packet6(payload) } else { packet4(payload) };
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
    for good in [packet4(30), packet6(9)] {
        for at in 0..60 {
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
    for bytes in [packet4(0), packet4(33), packet6(0), packet6(33)] {
        assert!(matches!(glance(&bytes), (Glance::Tcp { destination_port: 22, .. }, Some(_))));
    }
    let mut datagram = packet4(0);
    datagram[9] = 17;
    assert_eq!(glance(&datagram), (Glance::Udp, None));
}
