//! The dictionary of the column of clients' addresses: numbers that are looked up where
//! they lie.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use bytes::Bytes;
use ipnet::IpNet;

use super::varint;
use crate::record::Source;

/// A client, in the order by which records are sorted: IPv4 before IPv6, "many" first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) enum Client {
    Many,
    V4(u32),
    V6(u128),
}

impl From<Source> for Client {
    fn from(source: Source) -> Self {
        match source {
            Source::Many => Self::Many,
            Source::Address(IpAddr::V4(address)) => Self::V4(address.to_bits()),
            Source::Address(IpAddr::V6(address)) => Self::V6(address.to_bits()),
        }
    }
}

impl From<Client> for Source {
    fn from(client: Client) -> Self {
        Self::Address(match client {
            Client::Many => return Self::Many,
            Client::V4(address) => Ipv4Addr::from_bits(address).into(),
            Client::V6(address) => Ipv6Addr::from_bits(address).into(),
        })
    }
}

/// Appends the clients, which are in order: whether "many" is one, how many are IPv4, then
/// IPv4 and IPv6 addresses, in network byte order.
pub(super) fn encode(clients: &[Client], out: &mut Vec<u8>) {
    out.push(u8::from(clients.first() == Some(&Client::Many)));
    let v4 = clients.iter().filter(|client| matches!(client, Client::V4(_))).count();
    varint::write(v4 as u64, out);
    for client in clients {
        match client {
            Client::Many => {}
            Client::V4(address) => out.extend(address.to_be_bytes()),
            Client::V6(address) => out.extend(address.to_be_bytes()),
        }
    }
}

/// Clients in order, each once.
pub(in crate::store) struct Sources {
    has_many: bool,
    v4: Bytes,
    v6: Bytes,
}

impl Sources {
    /// `None`: that is no dictionary.
    pub(super) fn parse(bytes: &Bytes) -> Option<Self> {
        let (has_many, mut rest) = bytes.split_first()?;
        let v4 = varint::read_size(&mut rest, bytes.len())? * size_of::<u32>();
        let (v4, v6) = rest.split_at_checked(v4)?;
        Some(Self { has_many: *has_many == 1, v4: bytes.slice_ref(v4), v6: bytes.slice_ref(v6) })
    }

    pub(in crate::store) fn len(&self) -> usize {
        self.v4_from() + self.v4_len() + self.v6_len()
    }

    fn v4_from(&self) -> usize {
        usize::from(self.has_many)
    }

    fn v4_len(&self) -> usize {
        self.v4.len() / size_of::<u32>()
    }

    fn v6_len(&self) -> usize {
        self.v6.len() / size_of::<u128>()
    }

    fn v4(&self, at: usize) -> Option<u32> {
        let bytes = self.v4.chunks_exact(size_of::<u32>()).nth(at)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    fn v6(&self, at: usize) -> Option<u128> {
        let bytes = self.v6.chunks_exact(size_of::<u128>()).nth(at)?;
        Some(u128::from_be_bytes(bytes.try_into().ok()?))
    }

    pub(in crate::store) fn get(&self, at: usize) -> Option<Client> {
        let Some(at) = at.checked_sub(self.v4_from()) else { return Some(Client::Many) };
        match at.checked_sub(self.v4_len()) {
            None => self.v4(at).map(Client::V4),
            Some(at) => self.v6(at).map(Client::V6),
        }
    }

    pub(super) fn clients(&self) -> impl Iterator<Item = Client> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// The places of what is in a prefix.
    pub(in crate::store) fn within(&self, prefix: &IpNet) -> Range<usize> {
        match prefix {
            IpNet::V4(net) => self.v4_between(net.network().to_bits(), net.broadcast().to_bits()),
            IpNet::V6(net) => {
                let (least, most) = (net.network().to_bits(), net.broadcast().to_bits());
                let from = self.v4_from() + self.v4_len();
                from + self.v6_before(least)
                    ..from
                        + most
                            .checked_add(1)
                            .map_or_else(|| self.v6_len(), |beyond| self.v6_before(beyond))
            }
        }
    }

    /// The places of IPv4 addresses from `least` to `most`.
    pub(in crate::store) fn v4_between(&self, least: u32, most: u32) -> Range<usize> {
        let before = |address: u32| {
            super::partition_point(0..self.v4_len(), |at| {
                self.v4(at).is_some_and(|known| known < address)
            })
        };
        let end = most.checked_add(1).map_or_else(|| self.v4_len(), before);
        self.v4_from() + before(least)..self.v4_from() + end
    }

    /// The places of IPv6 addresses.
    pub(in crate::store) fn v6_places(&self) -> Range<usize> {
        self.v4_from() + self.v4_len()..self.len()
    }

    /// How many come before `source`.
    pub(in crate::store) fn before(&self, source: Source) -> usize {
        let client = Client::from(source);
        super::partition_point(0..self.len(), |at| self.get(at).is_some_and(|one| one < client))
    }

    fn v6_before(&self, address: u128) -> usize {
        super::partition_point(0..self.v6_len(), |at| {
            self.v6(at).is_some_and(|known| known < address)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn sources(clients: &[Client]) -> Sources {
        let mut bytes = Vec::new();
        encode(clients, &mut bytes);
        Sources::parse(&bytes.into()).unwrap()
    }

    #[test]
    fn a_prefix_is_a_range_of_places() {
        let v4 = |address: [u8; 4]| Client::V4(u32::from_be_bytes(address));
        let clients = [
            Client::Many,
            v4([9, 255, 255, 255]),
            v4([10, 0, 0, 0]),
            v4([10, 1, 2, 3]),
            v4([10, 255, 255, 255]),
            v4([11, 0, 0, 0]),
            v4([255, 255, 255, 255]),
            Client::V6(0),
            Client::V6(7),
            Client::V6(u128::MAX),
        ];
        let sources = sources(&clients);
        assert_eq!(sources.len(), clients.len());
        assert!(sources.clients().eq(clients));
        for (prefix, places) in [
            ("10.0.0.0/8", 2..5),
            ("10.1.2.3/32", 3..4),
            ("10.1.2.4/32", 4..4),
            ("0.0.0.0/0", 1..7),
            ("255.255.255.255/32", 6..7),
            ("::/0", 7..10),
            ("::/64", 7..9),
            ("::7/128", 8..9),
        ] {
            assert_eq!(sources.within(&prefix.parse().unwrap()), places, "{prefix}");
        }
    }
}
