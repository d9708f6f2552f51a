//! The parser on slices: nothing makes it panic, and what it finds is in the frame.

mod slice;

use proptest::prelude::*;
use proxy_common::parse::{Link, Parsed, parse};

use slice::Slice;

/// A correct IPv4 frame with a TCP header and so much payload.
fn frame(payload: u16) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes.extend([0x08, 0x00, 0x45, 0]);
    bytes.extend((40 + payload).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 6, 0, 0, 198, 51, 100, 7, 192, 0, 2, 1]);
    bytes.extend([0x9c, 0x40, 0, 22, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
    bytes.resize(bytes.len() + usize::from(payload), 0xaa);
    bytes
}

proptest! {
    #[test]
    fn any_bytes_have_an_outcome(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for link in [Link::Ethernet, Link::None] {
            parse(&Slice(&bytes), link);
        }
    }

    /// Mutations of a good frame reach every branch.
    #[test]
    fn nearly_good_frames_have_an_outcome(
        payload in 0u16..64,
        udp in any::<bool>(),
        changes in prop::collection::vec((0usize..60, any::<u8>()), 0..6),
        length in 0usize..120,
    ) {
        let mut bytes = frame(payload);
        if udp {
            bytes[23] = 17;
            bytes[38..40].copy_from_slice(&(20 + payload).to_be_bytes());
        }
        for (at, value) in changes {
            bytes[at % 54] = value;
        }
        bytes.truncate(length);
        parse(&Slice(&bytes), Link::Ethernet);
        parse(&Slice(bytes.get(14..).unwrap_or_default()), Link::None);
    }
}

#[test]
fn every_cut_of_a_frame_is_told_apart() {
    let whole = frame(0);
    for length in 0..whole.len() {
        let parsed = parse(&Slice(&whole[..length]), Link::Ethernet);
        let expected = if length < 14 { Parsed::Other } else { Parsed::NoTransport };
        assert_eq!(parsed, expected, "{length} bytes");
    }
    assert!(matches!(parse(&Slice(&whole), Link::Ethernet), Parsed::Packet(_)));
}

#[test]
fn link_padding_is_no_payload() {
    let mut padded = frame(0);
    padded.extend([0; 6]);
    let Parsed::Packet(packet) = parse(&Slice(&padded), Link::Ethernet) else {
        panic!("a whole frame");
    };
    assert_eq!(packet.segment.payload, 0);
}
