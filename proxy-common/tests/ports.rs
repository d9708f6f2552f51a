//! Every port of both protocols has a bit of its own.

use std::collections::HashSet;

use proxy_common::{
    address::{PROTOCOL_TCP, PROTOCOL_UDP},
    tables::{PORT_WORDS, port_bit},
};

#[test]
fn no_two_ports_share_a_bit() {
    let mut taken = HashSet::new();
    for protocol in [PROTOCOL_TCP, PROTOCOL_UDP] {
        for port in 0..=u16::MAX {
            let (word, bit) = port_bit(protocol, port);
            assert!(word < PORT_WORDS && bit.is_power_of_two());
            assert!(taken.insert((word, bit)), "{protocol} {port}");
        }
    }
}
