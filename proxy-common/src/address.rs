//! Client and service addresses.

/// An IP address in 16 bytes of memory, network byte order; IPv4 is stored v4-mapped
/// (RFC 4291, 2.5.5.2), so a mapped address and its IPv4 form are one value.
///
/// Held as two words: the kernel programs copy and compare it by words that way, and
/// byte by byte where it is an array of bytes.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Address {
    words: [u64; 2],
}

/// The second word of a mapped address, but for the IPv4 part.
const MAPPED: u64 = u64::from_ne_bytes([0, 0, 0xff, 0xff, 0, 0, 0, 0]);
/// Where the IPv4 part is not.
const MAPPED_MASK: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

impl Address {
    /// `0.0.0.0` or `::`.
    #[inline(always)]
    pub const fn unspecified(family: Family) -> Self {
        Self { words: [0, if matches!(family, Family::V4) { MAPPED } else { 0 }] }
    }

    /// An IPv4 address from its octets in network byte order.
    #[inline(always)]
    pub const fn v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self { words: [0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d])] }
    }

    /// An IPv6 address from its octets in network byte order. A v4-mapped one is
    /// the IPv4 address it holds.
    #[inline(always)]
    pub const fn v6(octets: [u8; 16]) -> Self {
        match (octets.first_chunk(), octets.last_chunk()) {
            // By words: octets taken one by one would each have a place on the kernel
            // programs' stack.
            (Some(first), Some(second)) => {
                Self { words: [u64::from_ne_bytes(*first), u64::from_ne_bytes(*second)] }
            }
            _ => Self::unspecified(Family::V6),
        }
    }

    /// Network byte order.
    #[inline(always)]
    #[expect(clippy::many_single_char_names, reason = "sixteen octets")]
    pub const fn octets(&self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h] = self.words[0].to_ne_bytes();
        let [i, j, k, l, m, n, o, p] = self.words[1].to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// The two halves, as they lie in memory.
    #[inline(always)]
    pub const fn words(&self) -> [u64; 2] {
        self.words
    }

    /// The IPv4 octets, or `None` for an IPv6 address.
    #[inline(always)]
    pub const fn as_v4(&self) -> Option<[u8; 4]> {
        if self.words[0] != 0 || self.words[1] & MAPPED_MASK != MAPPED {
            return None;
        }
        let [_, _, _, _, a, b, c, d] = self.words[1].to_ne_bytes();
        Some([a, b, c, d])
    }

    /// The family of the unwrapped address.
    #[inline(always)]
    pub const fn family(&self) -> Family {
        if self.as_v4().is_some() { Family::V4 } else { Family::V6 }
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// By number, IPv4 within `::ffff:0:0/96`.
impl Ord for Address {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.octets().cmp(&other.octets())
    }
}

impl From<core::net::IpAddr> for Address {
    fn from(ip: core::net::IpAddr) -> Self {
        match ip {
            core::net::IpAddr::V4(ip) => Self::v4(ip.octets()),
            core::net::IpAddr::V6(ip) => Self::v6(ip.octets()),
        }
    }
}

impl From<Address> for core::net::IpAddr {
    fn from(address: Address) -> Self {
        match address.as_v4() {
            Some(octets) => Self::from(octets),
            None => Self::from(address.octets()),
        }
    }
}

impl core::fmt::Debug for Address {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&core::net::IpAddr::from(*self), f)
    }
}

/// IP version, as it stands in map keys.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4 = 4,
    /// IPv6.
    V6 = 6,
}

/// TCP, as in the IP header.
pub const PROTOCOL_TCP: u8 = 6;
/// UDP, as in the IP header.
pub const PROTOCOL_UDP: u8 = 17;

/// A flow's 5-tuple, seen from the service.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// Who opened the flow.
    pub client: Address,
    /// The address of this host that the client addressed.
    pub service: Address,
    /// Host byte order.
    pub client_port: u16,
    /// Host byte order.
    pub service_port: u16,
    /// IP protocol number; a word, so that nothing is left to pad.
    pub protocol: u32,
}

impl FlowKey {
    /// From two socket addresses, v4-mapped ones unwrapped; `protocol` is IP's number.
    pub fn between(
        client: core::net::SocketAddr,
        service: core::net::SocketAddr,
        protocol: u32,
    ) -> Self {
        Self {
            client: client.ip().into(),
            service: service.ip().into(),
            client_port: client.port(),
            service_port: service.port(),
            protocol,
        }
    }
}

const _: () = assert!(size_of::<FlowKey>() == 40);
