//! Attempts are told apart, and none is ever missed.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use proxy_common::{
    address::{Address, FlowKey, PROTOCOL_TCP},
    attempt::{LIFETIME_SECONDS, SLOTS, is_repeat, mark},
};

const KEY: [u64; 2] = [0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321];

fn flow(client: u32, port: u16) -> FlowKey {
    FlowKey {
        client: Address::v4(Ipv4Addr::from(client).octets()),
        service: Address::v4([192, 0, 2, 1]),
        client_port: port,
        service_port: 22,
        protocol: PROTOCOL_TCP.into(),
    }
}

proptest! {
    #[test]
    fn a_retransmission_is_a_repeat_until_it_is_too_old(
        client in any::<u32>(), port in any::<u16>(), sequence in any::<u32>(),
        start in 1u64..1 << 40, later in 0u64..2 * LIFETIME_SECONDS,
    ) {
        let first = mark(&KEY, &flow(client, port), sequence, start);
        prop_assert!(first.slot < SLOTS);
        let second = mark(&KEY, &flow(client, port), sequence, start + later);
        prop_assert_eq!(first.slot, second.slot);
        prop_assert_eq!(is_repeat(second, first.word), later < LIFETIME_SECONDS);
    }

    #[test]
    fn an_empty_slot_holds_no_attempt(client in any::<u32>(), now in any::<u64>()) {
        prop_assert!(!is_repeat(mark(&KEY, &flow(client, 1), 1, now), 0));
    }

    #[test]
    fn another_sequence_number_or_port_is_another_attempt(
        client in any::<u32>(), port in any::<u16>(), sequence in any::<u32>(), now in 1u64..1 << 40,
    ) {
        let first = mark(&KEY, &flow(client, port), sequence, now);
        for other in [
            mark(&KEY, &flow(client, port), sequence.wrapping_add(1), now),
            mark(&KEY, &flow(client, port.wrapping_add(1)), sequence, now),
            mark(&[KEY[0] ^ 1, KEY[1]], &flow(client, port), sequence, now),
        ] {
            prop_assert!(!(first.slot == other.slot && is_repeat(other, first.word)));
        }
    }
}

#[test]
fn slots_are_used_evenly() {
    let mut counts = vec![0u32; 256];
    for client in 0..65_536 {
        counts[mark(&KEY, &flow(client, 4000), 0, 1).slot as usize >> 10] += 1;
    }
    let (least, most) = (counts.iter().min(), counts.iter().max());
    assert!(least > Some(&180) && most < Some(&340), "{least:?} to {most:?}, 256 expected");
}
