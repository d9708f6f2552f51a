//! The kernel plane: to which target a client goes, and how packets are rewritten on their
//! way there and back.

use crate::{
    address::{Address, Family, FlowKey},
    tables::{MAX_SERVICES, ServiceSlot},
};

/// Targets that the kernel plane knows of one service.
pub const MAX_TARGETS: usize = 32;
/// Addresses from which targets are reached.
pub const MAX_SOURCES: usize = 4;
/// Targets of all services that one set of maps can name at a time.
pub const MAX_TARGET_SLOTS: u32 = 4096;
/// Clients whose handshake with a target is under way. What comes beyond goes to the
/// relay's listener, which the kernel's SYN cookies protect.
pub const MAX_DIALS: u32 = 16_384;
/// Entries of backends: two generations of each service, for clients of either family.
pub const MAX_BACKENDS: u32 = 4 * MAX_SERVICES;
/// Routes that the kernel plane knows, of each family.
pub const MAX_ROUTES: u32 = 65_536;
/// Counters of sessions: one for each target, then one for each service.
pub const SESSION_COUNTERS: u32 = MAX_TARGET_SLOTS + MAX_SERVICES;
/// Ports that are looked at for one that is free.
pub const PORT_TRIES: u32 = 32;

/// A target's number in the kernel, below [`MAX_TARGET_SLOTS`].
pub type TargetSlot = u16;

/// The counter of a service's sessions.
#[inline(always)]
pub const fn of_service(service: ServiceSlot) -> u32 {
    MAX_TARGET_SLOTS + service as u32
}

/// Key of a service's [`Backends`] for clients of one family.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendsKey {
    /// Generation that this entry belongs to.
    pub generation: u32,
    /// The service.
    pub service: ServiceSlot,
    /// [`Family`] as a number.
    pub family: u8,
    /// Zero.
    pub pad: u8,
}

const _: () = assert!(size_of::<BackendsKey>() == 8);

impl BackendsKey {
    /// The entry of a service for clients of a family.
    #[inline(always)]
    pub const fn new(generation: u32, service: ServiceSlot, family: Family) -> Self {
        Self { generation, service, family: family as u8, pad: 0 }
    }
}

/// How a service chooses a target, as [`Backends::balance`] has it.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn.
    RoundRobin = 0,
    /// The one with the fewest sessions.
    LeastConn = 1,
    /// The same for the same client address.
    SourceHash = 2,
}

/// The targets of a service that clients are sent to now: replaced as a whole.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backends {
    /// [`Balance`] as a number.
    pub balance: u32,
    /// How many of `targets` there are.
    pub count: u32,
    /// How many of `sources` there are; 0: each target has one of its own.
    pub source_count: u32,
    /// See the constants of this type.
    pub flags: u32,
    /// Sessions at a time, over both families.
    pub most_sessions: u64,
    /// Addresses of this host from which targets are reached.
    pub sources: [Address; MAX_SOURCES],
    /// The targets.
    pub targets: [Target; MAX_TARGETS],
}

impl Backends {
    /// Targets see the client's own address (`source = "client"`).
    pub const CLIENT_SOURCE: u32 = 1;

    /// No target.
    pub const EMPTY: Self = Self {
        balance: Balance::RoundRobin as u32,
        count: 0,
        source_count: 0,
        flags: 0,
        most_sessions: 0,
        sources: [Address::unspecified(Family::V6); MAX_SOURCES],
        targets: [Target::NONE; MAX_TARGETS],
    };
}

/// A target, and the way there.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The target's address.
    pub address: Address,
    /// This host's address on the way there.
    pub source: Address,
    /// Who takes packets to it on the link: a router, or the target.
    pub next_hop: Address,
    /// What [`crate::balance::affinity`] knows it by.
    pub number: u64,
    /// Index of the interface by which it is reached.
    pub interface: u32,
    /// Bytes of an IP packet that the way there carries, as far as this host knows.
    pub mtu: u32,
    /// Host byte order.
    pub port: u16,
    /// Its number.
    pub slot: TargetSlot,
    /// Zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<Target>() == 72);

impl Target {
    const NONE: Self = Self {
        address: Address::unspecified(Family::V6),
        source: Address::unspecified(Family::V6),
        next_hop: Address::unspecified(Family::V6),
        number: 0,
        interface: 0,
        mtu: 0,
        port: 0,
        slot: 0,
        pad: 0,
    };
}

/// Who has a [`TargetSlot`]; a slot that nobody has is all zeros.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetName {
    /// The target's address.
    pub address: Address,
    /// Host byte order.
    pub port: u16,
    /// Whose target it is.
    pub service: ServiceSlot,
    /// Zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<TargetName>() == 24);

impl TargetName {
    /// A service's target.
    pub fn of(service: ServiceSlot, target: core::net::SocketAddr) -> Self {
        Self { address: target.ip().into(), port: target.port(), service, pad: 0 }
    }
}

/// The way to what a prefix of the routing table holds.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Router; unspecified: what is sent to is on the link itself.
    pub next_hop: Address,
    /// Index of the interface.
    pub interface: u32,
    /// Bytes of an IP packet that the link carries.
    pub mtu: u32,
}

const _: () = assert!(size_of::<Route>() == 24);

/// What becomes of packets of one direction of a forwarded flow. Its key is the 5-tuple
/// with which they come in, their source as the client.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// From where they go on.
    pub source: Address,
    /// Where they go.
    pub destination: Address,
    /// Who takes them on the link.
    pub next_hop: Address,
    /// Host byte order.
    pub source_port: u16,
    /// Host byte order.
    pub destination_port: u16,
    /// Index of the interface by which they leave.
    pub interface: u32,
    /// Bytes of an IP packet that both directions' links carry.
    pub mtu: u32,
    /// See the constants of this type.
    pub flags: u32,
    /// When the flow ended, nanoseconds of the coarse monotonic clock; 0: it has not.
    pub closed: u64,
    /// Begin of the Ethernet header with [`Translation::BY_LINK`]: destination, source.
    pub link: [u8; 12],
    /// Zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<Translation>() == 88);

impl Translation {
    /// Of what goes to the client.
    pub const DOWN: u32 = 1;
    /// There is no route: packets go to the neighbour by which the client's came.
    pub const BY_LINK: u32 = 1 << 1;

    /// Whether all of `flags` are set.
    #[inline(always)]
    pub const fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// The key of the other direction.
    #[inline(always)]
    pub const fn partner(&self, protocol: u32) -> FlowKey {
        FlowKey {
            client: self.destination,
            service: self.source,
            client_port: self.destination_port,
            service_port: self.source_port,
            protocol,
        }
    }
}
