//! Prefixes and countries as access lists hold them.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use proxy_common::country::Country;

use super::countries;

/// A prefix, or an address as the prefix of itself. A v4-mapped one of /96 or
/// longer is the IPv4 prefix that it holds.
///
/// # Errors
/// What is wrong with it; bits after the prefix are told with the right prefix.
pub(super) fn prefix(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(unmapped(address.into()));
    }
    let net: IpNet = text
        .parse()
        .map_err(|_| format!("{text:?} is neither an address nor a prefix like 192.0.2.0/24"))?;
    if net.addr() != net.network() {
        let right = unmapped(net.trunc());
        return Err(format!("{text:?} has bits set after its prefix; {right} is the prefix"));
    }
    Ok(unmapped(net))
}

fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let holds = v6.prefix_len() >= 96;
    match v6.network().to_ipv4_mapped().filter(|_| holds) {
        Some(v4) => Ipv4Net::new(v4, v6.prefix_len() - 96).map_or(net, IpNet::V4),
        None => net,
    }
}

/// A country by its code, in any case.
pub(super) fn country(text: &str) -> Result<Country, String> {
    let known = Country::from_code(text.as_bytes()).filter(|c| countries::exists(*c));
    known.ok_or_else(|| format!("{text:?} is no country: ISO 3166-1 alpha-2 codes like \"DE\""))
}

/// An entry of a mixed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Prefix(IpNet),
    Country(Country),
}

/// An address, a prefix or a country.
pub(super) fn listed(text: &str) -> Result<Listed, String> {
    if text.len() <= 3 && text.chars().all(|c| c.is_ascii_alphabetic()) {
        return country(text).map(Listed::Country);
    }
    match prefix(text) {
        Ok(prefix) => Ok(Listed::Prefix(prefix)),
        Err(why) if text.contains(['.', ':', '/']) => Err(why),
        Err(_) => Err(format!("{text:?} is neither an address, a prefix nor a country code")),
    }
}

/// Loopback, RFC 1918, RFC 6598, link-local and ULA: country rules never apply.
pub(super) fn exempt_defaults() -> impl Iterator<Item = IpNet> {
    const V4: [([u8; 4], u8); 6] = [
        ([127, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        ([172, 16, 0, 0], 12),
        ([192, 168, 0, 0], 16),
        ([100, 64, 0, 0], 10),
        ([169, 254, 0, 0], 16),
    ];
    let v6 = [(Ipv6Addr::LOCALHOST, 128), (segment(0xfe80), 10), (segment(0xfc00), 7)];
    let v4 = V4.into_iter().map(|(octets, length)| (IpAddr::from(octets), length));
    let all = v4.chain(v6.into_iter().map(|(address, length)| (address.into(), length)));
    all.filter_map(|(address, length)| IpNet::new(address, length).ok())
}

fn segment(first: u16) -> Ipv6Addr {
    Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_prefixes_are_what_they_hold() {
        assert_eq!(prefix("::ffff:192.0.2.0/120"), Ok("192.0.2.0/24".parse().expect("valid")));
        assert_eq!(prefix("::ffff:192.0.2.7"), Ok("192.0.2.7/32".parse().expect("valid")));
        assert_eq!(
            prefix("::ffff:0:0/95"),
            Err("\"::ffff:0:0/95\" has bits set after its prefix; ::fffe:0:0/95 is the prefix"
                .into())
        );
        assert_eq!(prefix("::/0"), Ok("::/0".parse().expect("valid")));
    }

    #[test]
    fn every_default_is_exempt() {
        let all: Vec<IpNet> = exempt_defaults().collect();
        assert_eq!(all.len(), 9);
        assert!(all.iter().all(|net| net.addr() == net.network()));
    }
}
