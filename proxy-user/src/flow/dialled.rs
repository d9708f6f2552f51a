//! The target of a record in text. Each record of a served connection has one, and
//! `Display` of an address costs as much as the rest of its draft.

use std::net::SocketAddr;

/// Bytes of the longest IPv4 address and port.
const MOST_V4: usize = "255.255.255.255:65535".len();

/// As `Display` has it.
pub(super) fn text_of(address: SocketAddr) -> String {
    let SocketAddr::V4(v4) = address else { return address.to_string() };
    let mut text = String::with_capacity(MOST_V4);
    for (octet, after) in v4.ip().octets().into_iter().zip("...:".chars()) {
        push(&mut text, octet.into());
        text.push(after);
    }
    push(&mut text, v4.port());
    text
}

fn push(text: &mut String, number: u16) {
    if number >= 10 {
        push(text, number / 10);
    }
    text.push(char::from(b"0123456789"[usize::from(number % 10)]));
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_address_reads_as_it_does_elsewhere(ip: IpAddr, port: u16) {
            let address = SocketAddr::new(ip, port);
            prop_assert_eq!(text_of(address), address.to_string());
        }
    }
}
