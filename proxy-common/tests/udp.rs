//! UDP in frames: what the host would take is a packet with its payload, what it would drop
//! is no transport.

mod slice;

use proxy_common::{
    packet::Packet,
    parse::{Link, Parsed, parse},
};

use slice::Slice;

/// A UDP header from port 40,000 to 53 that says this length, and what follows.
fn datagram(length: u16, payload: usize) -> Vec<u8> {
    let mut bytes = vec![0x9c, 0x40, 0, 53];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.resize(8 + payload, 0xaa);
    bytes
}

/// IPv4 with options and this fragment field.
fn v4(options: usize, fragment: u16, transport: &[u8]) -> Vec<u8> {
    let header = 20 + options;
    let mut bytes = vec![0x40 | u8::try_from(header / 4).expect("short"), 0];
    bytes.extend(u16::try_from(header + transport.len()).expect("short").to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, 17, 0, 0, 198, 51, 100, 7, 192, 0, 2, 1]);
    bytes.resize(header, 1);
    bytes.extend(transport);
    bytes
}

/// IPv6 whose first header is of this number.
fn v6(first: u8, after: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(u16::try_from(after.len()).expect("short").to_be_bytes());
    bytes.extend([first, 64]);
    bytes.extend(1..=32);
    bytes.extend(after);
    bytes
}

/// An IPv6 fragment header before the transport.
fn v6_fragment(field: u16, transport: &[u8]) -> Vec<u8> {
    let mut bytes = vec![17, 0];
    bytes.extend(field.to_be_bytes());
    bytes.extend([0, 0, 0, 9]);
    bytes.extend(transport);
    v6(44, &bytes)
}

fn parsed(bytes: &[u8]) -> Parsed {
    let mut framed = vec![0; 12];
    framed.extend(if bytes[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] });
    framed.extend(bytes);
    let bare = parse(&Slice(bytes), Link::None);
    assert_eq!(parse(&Slice(&framed), Link::Ethernet), bare);
    bare
}

fn packet(bytes: &[u8]) -> Packet {
    match parsed(bytes) {
        Parsed::Packet(packet) => packet,
        other => panic!("{other:?}"),
    }
}

/// Payload and packets; [`Slice`] merges one for each ten bytes.
fn counted(bytes: &[u8]) -> (u32, u16) {
    let segment = packet(bytes).segment;
    (segment.payload, segment.packets)
}

#[test]
fn the_payload_is_what_udp_says() {
    for payload in [0, 1, 50] {
        let transport = datagram(8 + u16::try_from(payload).expect("short"), payload);
        let options = [vec![60, 0, 0, 0, 0, 0, 0, 0], vec![17, 1], vec![0; 14], transport.clone()];
        let frames = [
            v4(0, 0x4000, &transport),
            v4(12, 0, &transport),
            v6(17, &transport),
            v6(0, &options.concat()),
            v6_fragment(0, &transport),
        ];
        for frame in frames {
            let packet = packet(&frame);
            assert_eq!(packet.protocol, 17);
            assert_eq!((packet.source_port, packet.destination_port), (40_000, 53));
            assert_eq!(packet.segment.payload as usize, payload);
            assert_eq!(usize::from(packet.segment.packets), payload / 10);
        }
    }
}

/// The host cuts off what IP carries beyond it.
#[test]
fn what_follows_a_datagram_is_none_of_it() {
    assert_eq!(counted(&v4(0, 0, &datagram(18, 30))).0, 10);
    assert_eq!(counted(&v6(17, &datagram(18, 30))).0, 10);
}

#[test]
fn a_length_that_the_host_drops_is_no_transport() {
    for length in [1, 7, 19, u16::MAX] {
        let transport = datagram(length, 10);
        for frame in [v4(0, 0, &transport), v6(17, &transport)] {
            assert_eq!(parsed(&frame), Parsed::NoTransport, "{length}");
        }
    }
    assert_eq!(parsed(&v4(0, 0, &datagram(0, 10))), Parsed::NoTransport);
    for short in 0..8 {
        let cut = &datagram(18, 10)[..short];
        assert_eq!(parsed(&v4(0, 0, cut)), Parsed::NoTransport);
        assert_eq!(parsed(&v6(17, cut)), Parsed::NoTransport);
        // What pads the frame is no header.
        let mut padded = v4(0, 0x2000, cut);
        padded.resize(60, 0);
        assert_eq!(parsed(&padded), Parsed::NoTransport);
    }
}

/// RFC 2675, 4; the host takes it of every IPv6 packet.
#[test]
fn a_jumbogram_is_as_long_as_ip_says() {
    assert_eq!(counted(&v6(17, &datagram(0, 10))).0, 10);
    let mut jumbo = v6(17, &datagram(0, 60_000));
    jumbo.extend([0xaa; 10_000]);
    jumbo[4..6].copy_from_slice(&[0, 0]);
    assert_eq!(counted(&jumbo).0, 70_000);
}

/// As hosts cut it: all pieces but the last are of one size.
#[test]
fn a_first_fragment_stands_for_the_whole_datagram() {
    for (length, first, packets) in
        [(1_508, 1_480, 2), (2_960, 1_480, 2), (2_961, 1_480, 3), (65_515, 1_480, 45)]
    {
        let transport = datagram(length, first - 8);
        let whole = (u32::from(length) - 8, packets);
        assert_eq!(counted(&v4(0, 0x2000, &transport)), whole);
        assert_eq!(counted(&v6_fragment(1, &transport)), whole);
    }
}

/// The smallest piece holds all of UDP's header: the ports are known, and so is the rest.
#[test]
fn the_smallest_first_fragment_is_a_packet() {
    let transport = datagram(u16::MAX, 0);
    for frame in [v4(0, 0x2000, &transport), v6_fragment(1, &transport)] {
        assert_eq!(counted(&frame), (u32::from(u16::MAX) - 8, 8_192));
    }
}

/// Nothing that the host might put together goes by unjudged.
#[test]
fn a_fragment_without_a_length_is_a_packet_where_the_host_takes_it() {
    let transport = datagram(0, 16);
    assert_eq!(counted(&v6_fragment(1, &transport)), (16, 1));
    assert_eq!(parsed(&v4(0, 0x2000, &transport)), Parsed::NoTransport);
}

#[test]
fn later_fragments_have_no_ports() {
    let transport = datagram(1_508, 100);
    for field in [1, 0x2001] {
        assert_eq!(parsed(&v4(0, field, &transport)), Parsed::LaterFragment);
    }
    for field in [8, 9] {
        assert_eq!(parsed(&v6_fragment(field, &transport)), Parsed::LaterFragment);
    }
}
