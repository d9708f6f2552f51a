//! RSTs.

use proxy_common::{
    address::{FlowKey, PROTOCOL_TCP},
    flow::Half,
    packet::Segment,
};

use super::checksum;

const TCP_HEADER: usize = 20;

/// The answer to a denied segment (RFC 9293, 3.10.7.1). An RST is never answered.
pub(super) fn answer(key: &FlowKey, segment: &Segment) -> Option<[u8; TCP_HEADER]> {
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

/// RSTs that end the client's side of a flow, to which the service sent `down`.
pub(super) fn cut(key: &FlowKey, down: &Half) -> impl Iterator<Item = [u8; TCP_HEADER]> {
    expected(down).map(|sequence| header(key, sequence, 0, Segment::RST))
}

/// Where a client takes an RST: at the next number that it expects (RFC 5961, 3.2).
/// That is the one which it acknowledged last, or, with its ACK still to come, the one
/// after all that was sent.
#[allow(clippy::cast_possible_truncation, reason = "sequence numbers are positions modulo 2^32")]
fn expected(down: &Half) -> impl Iterator<Item = u32> + use<> {
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
    let sum = sum(key, &header);
    header[16..18].copy_from_slice(&sum.to_be_bytes());
    header
}

/// RFC 9293, 3.1: over a pseudo-header of addresses, protocol and length.
fn sum(key: &FlowKey, header: &[u8; TCP_HEADER]) -> u16 {
    let pseudo = [0, PROTOCOL_TCP, 0, 20];
    match (key.service.as_v4(), key.client.as_v4()) {
        (Some(from), Some(to)) => checksum(&[&from, &to, &pseudo, header]),
        _ => checksum(&[&key.service.octets(), &key.client.octets(), &pseudo, header]),
    }
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
