//! Clients whose address, as it is shown, begins with a text.

use super::{Result, Selected, coded};
use crate::{
    record::Source,
    store::block::{Client, Column, Reader, Sources},
};

/// Rows whose client begins with `part`, which is lower case.
pub(super) fn beginning(reader: Reader<'_>, part: &str) -> Result<Selected> {
    let of_addresses = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    if !part.bytes().all(of_addresses) && !"many".starts_with(part) {
        return Ok(Selected::None);
    }
    coded(reader, Column::Source, &hits(&reader.sources()?, part))
}

fn hits(sources: &Sources, part: &str) -> Vec<bool> {
    let mut hits = vec![false; sources.len()];
    for (least, most) in v4_ranges(part) {
        hits[sources.v4_between(least, most)].fill(true);
    }
    let many = (sources.get(0) == Some(Client::Many)).then_some(0);
    for place in many.into_iter().chain(sources.v6_places()) {
        let shown = sources.get(place).map(|client| Source::from(client).to_string());
        hits[place] = shown.is_some_and(|shown| shown.starts_with(part));
    }
    hits
}

/// IPv4 addresses that begin with `part`: from and to, both inclusive.
fn v4_ranges(part: &str) -> Vec<(u32, u32)> {
    let mut octets: Vec<&str> = part.split('.').collect();
    let begun = octets.pop().unwrap_or_default();
    if octets.len() > 3 {
        return Vec::new();
    }
    let mut base = 0u32;
    for octet in &octets {
        match octet.parse::<u8>() {
            // Only as it is shown: no sign, no leading zero.
            Ok(number) if number.to_string() == **octet => base = base << 8 | u32::from(number),
            _ => return Vec::new(),
        }
    }
    // Bits that are left below the octet that is begun.
    let below = 8 * u32::try_from(3 - octets.len()).unwrap_or(0);
    (0..=u8::MAX)
        .filter(|octet| octet.to_string().starts_with(begun))
        .map(|octet| {
            let least = (base << 8 | u32::from(octet)) << below;
            (least, least | ((1 << below) - 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_hold_what_is_shown_so(
            address in any::<[u8; 4]>(), part in "[0-9]{0,3}(\\.[0-9]{0,3}){0,4}", cut in 0usize..16,
        ) {
            let address = Ipv4Addr::from(address);
            let shown = address.to_string();
            for part in [part.as_str(), shown.get(..cut).unwrap_or(&shown)] {
                let bits = address.to_bits();
                let is_in = v4_ranges(part).iter().any(|(a, b)| (*a..=*b).contains(&bits));
                prop_assert_eq!(is_in, shown.starts_with(part), "{} {}", shown, part);
            }
        }
    }
}
