//! Errors of ICMP: port unreachable, packet too big.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proxy_common::{
    address::{FlowKey, PROTOCOL_TCP, PROTOCOL_UDP},
    packet::Segment,
};

use super::{Message, be16, checksum, ipv4_header, ipv6_header};

/// As in the IP header.
const PROTOCOL_ICMP: u8 = 1;
/// As in the IP header.
const PROTOCOL_ICMP6: u8 = 58;
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;

/// What tells a client that nothing takes its datagram of `payload` bytes (RFC 792, type
/// 3 code 3; RFC 4443, 3.1, type 1 code 4). It holds the datagram's headers as far as they
/// are known: by them the client's host finds the socket. `None` where no error may be
/// sent to (RFC 1122, 3.2.2; RFC 4443, 2.4 e).
pub(super) fn port_unreachable(key: &FlowKey, payload: u32) -> Option<Message> {
    let length = UDP_HEADER + usize::try_from(payload).unwrap_or(usize::MAX - UDP_HEADER);
    error(key, ([3, 3], [1, 4]), [0; 4], (PROTOCOL_UDP, udp_header(key, length), length))
}

/// What tells a sender that its packet with this segment is larger than what its way
/// carries (RFC 1191, 4; RFC 4443, 3.2).
pub(super) fn too_big(key: &FlowKey, segment: &Segment, mtu: u16) -> Option<Message> {
    let payload = usize::try_from(segment.payload).unwrap_or(usize::MAX - 60);
    let quoted = if key.protocol == u32::from(PROTOCOL_UDP) {
        (PROTOCOL_UDP, udp_header(key, UDP_HEADER + payload), UDP_HEADER + payload)
    } else {
        (PROTOCOL_TCP, tcp_header(key, segment), TCP_HEADER + payload)
    };
    let [high, low] = mtu.to_be_bytes();
    error(key, ([3, 4], [2, 0]), [0, 0, high, low], quoted)
}

/// An error about a packet of the client's. `kind`: type and code of ICMP, and of `ICMPv6`;
/// `rest`: the four bytes behind the checksum; `quoted`: what the packet carries by
/// protocol, its first bytes and its length.
fn error(
    key: &FlowKey,
    (kind, kind6): ([u8; 2], [u8; 2]),
    [a, b, c, d]: [u8; 4],
    (protocol, begin, length): (u8, [u8; 8], usize),
) -> Option<Message> {
    match (IpAddr::from(key.client), IpAddr::from(key.service)) {
        (IpAddr::V4(client), IpAddr::V4(service)) if is_host(client) => {
            let mut header = ipv4_header(client.octets(), service.octets(), protocol, length);
            // Only of such a packet is its size an error (RFC 791, 3.1).
            header[6] = 0x40;
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            let mut bytes =
                [&[kind[0], kind[1], 0, 0, a, b, c, d], header.as_slice(), &begin].concat();
            let sum = checksum(&[&bytes]);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
            Some(Message { protocol: PROTOCOL_ICMP, bytes })
        }
        (IpAddr::V6(client), IpAddr::V6(service)) if is_host6(client) => {
            let (client, service) = (client.octets(), service.octets());
            let header = ipv6_header(client, service, protocol, length);
            let mut bytes =
                [&[kind6[0], kind6[1], 0, 0, a, b, c, d], header.as_slice(), &begin].concat();
            // RFC 8200, 8.1: over a pseudo-header as well.
            let length = be16(bytes.len());
            let sum = checksum(&[
                &service,
                &client,
                &[0, 0],
                &length,
                &[0, 0, 0, PROTOCOL_ICMP6],
                &bytes,
            ]);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
            Some(Message { protocol: PROTOCOL_ICMP6, bytes })
        }
        _ => None,
    }
}

/// The first bytes of TCP's header, by which the sender knows its segment again (RFC 5927,
/// 4.1).
fn tcp_header(key: &FlowKey, segment: &Segment) -> [u8; 8] {
    let mut header = [0; 8];
    header[0..2].copy_from_slice(&key.client_port.to_be_bytes());
    header[2..4].copy_from_slice(&key.service_port.to_be_bytes());
    header[4..8].copy_from_slice(&segment.sequence.to_be_bytes());
    header
}

/// RFC 768. The checksum is not known: 0, as where there is none.
fn udp_header(key: &FlowKey, length: usize) -> [u8; UDP_HEADER] {
    let mut header = [0; UDP_HEADER];
    header[0..2].copy_from_slice(&key.client_port.to_be_bytes());
    header[2..4].copy_from_slice(&key.service_port.to_be_bytes());
    header[4..6].copy_from_slice(&be16(length));
    header
}

/// Whether the address is that of a single host: not unspecified, a group's, or of class E
/// with the broadcast address.
fn is_host(address: Ipv4Addr) -> bool {
    !address.is_unspecified() && address.octets()[0] < 224
}

fn is_host6(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(client: &str, service: &str) -> FlowKey {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address").into();
        FlowKey {
            client: address(client),
            service: address(service),
            client_port: 0x1234,
            service_port: 53,
            protocol: PROTOCOL_UDP.into(),
        }
    }

    #[test]
    fn a_datagram_over_ipv4_is_answered_with_its_own_headers() {
        let key = key("198.51.100.2", "192.0.2.1");
        let message = port_unreachable(&key, 1000).expect("answered");
        assert_eq!(message.protocol, PROTOCOL_ICMP);
        let bytes = &message.bytes;
        assert_eq!((bytes.len(), &bytes[..2]), (36, [3, 3].as_slice()));
        assert_eq!(checksum(&[bytes]), 0);
        let (header, datagram) = bytes[8..].split_at(20);
        assert_eq!(checksum(&[header]), 0);
        assert_eq!(header[2..4], 1028u16.to_be_bytes());
        assert_eq!((header[9], &header[12..16]), (PROTOCOL_UDP, [198, 51, 100, 2].as_slice()));
        assert_eq!(header[16..20], [192, 0, 2, 1]);
        assert_eq!(datagram, [0x12, 0x34, 0, 53, 0x03, 0xf0, 0, 0]);
    }

    #[test]
    fn a_datagram_over_ipv6_is_answered_with_its_own_headers() {
        let key = key("2001:db8::2", "2001:db8::1");
        let message = port_unreachable(&key, 0).expect("answered");
        assert_eq!(message.protocol, PROTOCOL_ICMP6);
        let bytes = &message.bytes;
        assert_eq!((bytes.len(), &bytes[..2]), (56, [1, 4].as_slice()));
        let (header, datagram) = bytes[8..].split_at(40);
        assert_eq!((header[4..6].to_vec(), header[6]), (8u16.to_be_bytes().into(), PROTOCOL_UDP));
        assert_eq!(header[8..24], key.client.octets());
        assert_eq!(datagram[4..6], 8u16.to_be_bytes());
        let pseudo = [0, 0, 0, 56, 0, 0, 0, PROTOCOL_ICMP6];
        let ends = [key.service.octets(), key.client.octets()].concat();
        assert_eq!(checksum(&[&ends, &pseudo, bytes]), 0);
    }

    #[test]
    fn what_is_no_single_host_is_not_answered() {
        for client in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1"] {
            assert!(port_unreachable(&key(client, "192.0.2.1"), 0).is_none(), "{client}");
        }
        for client in ["::", "ff02::1"] {
            assert!(port_unreachable(&key(client, "2001:db8::1"), 0).is_none(), "{client}");
        }
    }

    #[test]
    fn a_length_that_no_header_holds_is_the_most_that_one_does() {
        let message = port_unreachable(&key("198.51.100.2", "192.0.2.1"), u32::MAX);
        assert_eq!(message.expect("answered").bytes[10..12], u16::MAX.to_be_bytes());
    }
}
