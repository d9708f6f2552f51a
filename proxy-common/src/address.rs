//! Client and service addresses.

/// An IP address in 16 bytes, network byte order; IPv4 is stored v4-mapped
/// (RFC 4291, 2.5.5.2), so a mapped address and its IPv4 form are one value.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Network byte order.
    pub octets: [u8; 16],
}

const V4_MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl Address {
    /// `::`, the wildcard in listener keys.
    pub const UNSPECIFIED: Self = Self { octets: [0; 16] };

    /// An IPv4 address from its octets in network byte order.
    #[inline(always)]
    pub const fn v4(octets: [u8; 4]) -> Self {
        let mut mapped = [0; 16];
        mapped[10] = 0xff;
        mapped[11] = 0xff;
        mapped[12] = octets[0];
        mapped[13] = octets[1];
        mapped[14] = octets[2];
        mapped[15] = octets[3];
        Self { octets: mapped }
    }

    /// An IPv6 address from its octets in network byte order. A v4-mapped one is
    /// the IPv4 address it holds.
    #[inline(always)]
    pub const fn v6(octets: [u8; 16]) -> Self {
        Self { octets }
    }

    /// The IPv4 octets, or `None` for an IPv6 address.
    #[inline(always)]
    pub fn as_v4(&self) -> Option<[u8; 4]> {
        let o = &self.octets;
        let mut mapped = true;
        let mut i = 0;
        while i < V4_MAPPED.len() {
            mapped &= o[i] == V4_MAPPED[i];
            i += 1;
        }
        mapped.then_some([o[12], o[13], o[14], o[15]])
    }

    /// The family of the unwrapped address.
    #[inline(always)]
    pub fn family(&self) -> Family {
        if self.as_v4().is_some() { Family::V4 } else { Family::V6 }
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
            None => Self::from(address.octets),
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
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub pad: [u8; 3],
}

const _: () = assert!(size_of::<FlowKey>() == 40);
