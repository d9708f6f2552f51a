#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn ends(client: &str, destination: &str) -> Ends {
    Ends { client: client.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn v2(command: u8, family: u8, behind: &[u8]) -> Vec<u8> {
    let length = u16::try_from(behind.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x20 | command, family], &length, behind].concat()
}

/// Addresses of version 2: 192.0.2.7 port 80 to 192.0.2.1 port 443.
const V4: [u8; 12] = [192, 0, 2, 7, 192, 0, 2, 1, 0, 80, 1, 187];

#[test]
fn version_1_tells_both_ends() {
    let line = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n";
    let expected =
        Proxied { ends: Some(ends("192.0.2.7:4711", "192.0.2.1:443")), length: line.len() };
    assert_eq!(parse(line), Ok(Some(expected)));
    assert_eq!(parse(&[line, &b"GET / \n"[..]].concat()), Ok(Some(expected)));
    let v6 = parse(b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n").unwrap().unwrap();
    assert_eq!(v6.ends, Some(ends("[2001:db8::7]:4711", "[2001:db8::1]:443")));
}

#[test]
fn version_2_tells_both_ends() {
    let header = v2(1, 0x11, &[&V4[..], &[4, 0, 2, 9, 9]].concat());
    let expected = Proxied { ends: Some(ends("192.0.2.7:80", "192.0.2.1:443")), length: 33 };
    assert_eq!(parse(&[&header[..], b"payload"].concat()), Ok(Some(expected)));
}

#[test]
fn a_peer_may_speak_for_itself() {
    let cases = [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(),
        v2(0, 0x00, &[]),
        // LOCAL: what else it says is to be ignored.
        v2(0, 0x11, &V4),
        v2(1, 0x00, &[1, 2, 3]),
        // Datagrams, and UNIX sockets.
        v2(1, 0x12, &V4),
        v2(1, 0x31, &[0; 216]),
    ];
    for header in cases {
        let expected = Proxied { ends: None, length: header.len() };
        assert_eq!(parse(&header), Ok(Some(expected)), "{header:?}");
    }
}

#[test]
fn what_is_no_header_is_told() {
    for payload in [&b"G"[..], b"PROXX", b"\r\n\r\nX", b"\x16\x03\x01", b"QUIT", b"proxy"] {
        assert_eq!(parse(payload), Err(Broken::Missing), "{payload:?}");
    }
    for line in [
        "PROXY\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 192.0.2.7 192.0.2.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 1 02\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 1 \r\n",
        "PROXY TCP4 192.0.2.7 ::1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n",
        "PROXYTCP4 192.0.2.7 192.0.2.1 1 2\r\n",
    ] {
        assert!(matches!(parse(line.as_bytes()), Err(Broken::V1(_))), "{line:?}");
    }
    let version_3 = [SIGNATURE, &[0x31, 0x11, 0, 12], &V4].concat();
    let cases = [
        version_3,
        v2(2, 0x11, &V4),
        v2(1, 0x41, &V4),
        v2(1, 0x13, &V4),
        v2(1, 0x11, &V4[..11]),
        // TLVs that go on behind the header, or are cut.
        v2(1, 0x11, &[&V4[..], &[4, 0, 3, 9, 9]].concat()),
        v2(1, 0x11, &[&V4[..], &[4, 0]].concat()),
    ];
    for header in cases {
        assert!(matches!(parse(&header), Err(Broken::V2(_))), "{header:?}");
    }
}

#[test]
fn length_is_bounded() {
    let line = [&b"PROXY UNKNOWN "[..], &[b'x'; 91], b"\r\n"].concat();
    assert_eq!(line.len(), MOST_V1);
    assert!(parse(&line).unwrap().is_some());
    assert_eq!(parse(&line[..MOST_V1 - 1]), Ok(None));
    assert_eq!(parse(&[&line[..MOST_V1 - 2], b"x\r\n"].concat()), Err(Broken::TooLong));

    let tlv = |length: usize| {
        let value = u16::try_from(length - 3).unwrap().to_be_bytes();
        [&V4[..], &[0xee], &value, &vec![0; length - 3]].concat()
    };
    let most = v2(1, 0x11, &tlv(MOST_BYTES - FIXED_V2 - V4.len()));
    assert_eq!(parse(&most).unwrap().unwrap().length, MOST_BYTES);
    assert_eq!(parse(&most[..MOST_BYTES - 1]), Ok(None));
    let more = v2(1, 0x11, &tlv(MOST_BYTES - FIXED_V2 - V4.len() + 1));
    assert_eq!(parse(&more), Err(Broken::TooLong));
    // Its own length says so first.
    assert_eq!(parse(&more[..FIXED_V2]), Err(Broken::TooLong));
    assert_eq!(parse(&more[..FIXED_V2 - 1]), Ok(None));
}

#[test]
fn families_that_differ_are_written_as_ipv6() {
    let mixed = ends("192.0.2.7:80", "[2001:db8::1]:443");
    for version in [Version::V1, Version::V2] {
        let read = parse(&write(version, mixed)).unwrap().unwrap().ends.unwrap();
        assert_eq!(read, ends("[::ffff:192.0.2.7]:80", "[2001:db8::1]:443"));
    }
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_at_its_last_byte(
        client in any::<([u8; 16], u16)>(),
        destination in any::<([u8; 16], u16)>(),
        is_v4 in any::<bool>(),
        v2 in any::<bool>(),
    ) {
        let end = |(ip, port): ([u8; 16], u16)| {
            let v4 = [ip[0], ip[1], ip[2], ip[3]];
            SocketAddr::new(if is_v4 { v4.into() } else { ip.into() }, port)
        };
        let ends = Ends { client: end(client), destination: end(destination) };
        let header = write(if v2 { Version::V2 } else { Version::V1 }, ends);
        for length in 0..header.len() {
            prop_assert_eq!(parse(&header[..length]), Ok(None));
        }
        let read = Proxied { ends: Some(ends), length: header.len() };
        prop_assert_eq!(parse(&header), Ok(Some(read)));
    }

    #[test]
    fn one_wrong_byte_never_panics(
        client in address(),
        v2 in any::<bool>(),
        place in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let ends = Ends { client: (client, 1).into(), destination: (client, 2).into() };
        let mut header = write(if v2 { Version::V2 } else { Version::V1 }, ends);
        let place = place.index(header.len());
        header[place] = value;
        if let Ok(Some(read)) = parse(&header) {
            prop_assert!(read.length <= header.len());
        }
    }
}
