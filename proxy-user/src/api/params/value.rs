//! Single values.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::api::error::ApiError;

/// The error for a value that is not what `name` takes.
pub(super) fn bad(name: &str, value: &str, expected: &str) -> ApiError {
    ApiError::bad_request(format!("{name}: {value:?} is not {expected}"))
}

/// Reads a value with `parse`, or says what was expected.
pub(super) fn read<T>(
    name: &str,
    value: &str,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ApiError> {
    parse(value).ok_or_else(|| bad(name, value, expected))
}

/// An address; a v4-mapped one is the IPv4 address it holds.
pub(in crate::api) fn address(name: &str, value: &str) -> Result<IpAddr, ApiError> {
    read(name, value, "an IP address", |value| value.parse().ok())
        .map(|address: IpAddr| address.to_canonical())
}

/// An address or a prefix without host bits; v4-mapped ones are read as IPv4.
pub(super) fn prefix(name: &str, value: &str) -> Result<IpNet, ApiError> {
    if !value.contains('/') {
        return Ok(IpNet::from(address(name, value)?));
    }
    let given: IpNet =
        read(name, value, "an address or a CIDR prefix", |value| value.parse().ok())?;
    if given.trunc() != given {
        let expected = format!("a prefix: it has host bits set; {} has none", given.trunc());
        return Err(bad(name, value, &expected));
    }
    Ok(unmapped(given))
}

fn unmapped(prefix: IpNet) -> IpNet {
    let length = prefix.prefix_len();
    match prefix.network().to_canonical() {
        IpAddr::V4(network) if prefix.max_prefix_len() == 128 && length >= 96 => {
            IpNet::new(network.into(), length - 96).unwrap_or(prefix)
        }
        _ => prefix,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_address_is_a_whole_prefix_and_mapped_ones_are_ipv4() {
        for (given, expected) in [
            ("10.0.0.5", "10.0.0.5/32"),
            ("::ffff:10.0.0.5", "10.0.0.5/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(prefix("source_ip", given).unwrap(), expected.parse().unwrap(), "{given}");
        }
    }

    #[test]
    fn host_bits_are_named_with_the_right_prefix() {
        let error = prefix("source_ip", "10.0.0.5/8").unwrap_err();
        assert!(error.message.contains("10.0.0.0/8"), "{}", error.message);
    }
}
