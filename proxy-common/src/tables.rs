//! Keys and values of the kernel maps that the daemon fills.

use crate::address::{Address, Family, PROTOCOL_UDP};

/// How many services one set of maps can name, over its life.
pub const MAX_SERVICES: u32 = 1024;
/// Entries that the listener map holds: two generations, for a moment.
pub const MAX_LISTENERS: u32 = 65_536;
/// Handshakes under way that are remembered; further ones push the oldest out.
pub const MAX_HALF_OPEN: u32 = 65_536;
/// What the host itself asks over UDP and is remembered; further ones push the oldest out.
pub const MAX_QUESTIONS: u32 = 32_768;
/// Tables of verdicts: of the generation in force, and of the one that comes next.
pub const SETS: u32 = 2;

/// A service's number in the kernel, below [`MAX_SERVICES`]: stable for the life
/// of the pinned maps, so counters keep their meaning over reloads and restarts.
pub type ServiceSlot = u16;

/// The root that a packet reads once; everything else hangs from its generation.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// Generation in force; 0 before the first.
    pub generation: u32,
    /// Ports from which the kernel plane reaches targets, first and last; with the first
    /// above the last there are none.
    pub nat_ports: [u16; 2],
    /// Key of the hash that tells denied attempts apart, random per set of maps.
    pub hash_key: [u64; 2],
    /// Names this set of maps, random: kernel totals are accounted under it.
    pub epoch: u64,
    /// See the constants of this type.
    pub flags: u32,
    /// Zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<Root>() == 40);

impl Root {
    /// No port at all.
    pub const NO_PORTS: [u16; 2] = [1, 0];
    /// Some targets see their clients' own addresses.
    pub const CLIENT_SOURCES: u32 = 1;

    /// Whether every flag is set.
    #[inline(always)]
    pub const fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// Whether targets may answer to this port.
    #[inline(always)]
    pub const fn translates(&self, port: u16) -> bool {
        self.nat_ports[0] <= port && port <= self.nat_ports[1]
    }
}

/// Key of the listener map. For every port there is an entry per family whose
/// address is [`Address::unspecified`]; it says whether entries for single
/// addresses exist, so a port of no service costs one lookup.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerKey {
    /// Generation that this entry belongs to.
    pub generation: u32,
    /// Host byte order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// [`Family`] as a number.
    pub family: u8,
    /// The listen address, or unspecified for every address of the family.
    pub address: Address,
}

const _: () = assert!(size_of::<ListenerKey>() == 24);

impl ListenerKey {
    /// The entry for every address of a family.
    #[inline(always)]
    pub const fn wildcard(generation: u32, port: u16, protocol: u8, family: Family) -> Self {
        Self {
            generation,
            port,
            protocol,
            family: family as u8,
            address: Address::unspecified(family),
        }
    }
}

/// Words of the array of ports: TCP's, then UDP's.
pub const PORT_WORDS: u32 = 2 * WORDS_OF_PROTOCOL;
const WORDS_OF_PROTOCOL: u32 = (1 << 16) / u64::BITS;

/// Where the bit of a TCP or UDP port is: word and mask.
#[inline(always)]
pub const fn port_bit(protocol: u8, port: u16) -> (u32, u64) {
    let first = if protocol == PROTOCOL_UDP { WORDS_OF_PROTOCOL } else { 0 };
    (first + (port / 64) as u32, 1 << (port % 64))
}

/// Value of the listener map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// See the constants of this type.
    pub flags: u16,
    /// The service that listens; meaningless without [`Listener::SERVES`].
    pub service: ServiceSlot,
    /// Where the service's verdicts begin: there is one for each class.
    pub verdicts: u32,
}

const _: () = assert!(size_of::<Listener>() == 8);

impl Listener {
    /// A service listens here (a wildcard entry may be there only for
    /// [`Listener::HAS_ADDRESSES`]).
    pub const SERVES: u16 = 1;
    /// Entries for single addresses exist on this port.
    pub const HAS_ADDRESSES: u16 = 1 << 1;
    /// The service's connections end in the relay, not in a process of the host.
    pub const RELAYED: u16 = 1 << 2;
    /// `deny = "reset"`: repeats of a denied attempt are told to the daemon too.
    pub const RESET: u16 = 1 << 3;
    /// Several services listen here and are told apart by the name that the client asks
    /// for (SNI): the relay judges, and the kernel lets everyone in.
    pub const BY_NAME: u16 = 1 << 4;
    /// The kernel plane forwards what comes here, as far as it can; the relay serves the
    /// rest.
    pub const FORWARDED: u16 = 1 << 5;
    /// Of an odd generation: which of the two sets of tables is its own.
    pub const ODD: u16 = 1 << 6;

    /// Whether every flag is set.
    #[inline(always)]
    pub const fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// Which set of tables is its generation's, below [`SETS`].
    #[inline(always)]
    pub const fn set(&self) -> u32 {
        self.has(Self::ODD) as u32
    }
}

/// Which set of tables is a generation's, below [`SETS`].
pub const fn set_of(generation: u32) -> u32 {
    generation % SETS
}

/// Denials of one service for one reason, on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DenialCount {
    /// Attempts, by [`crate::attempt`]; its value names each event.
    pub attempts: u64,
    /// Packets dropped, repeats included.
    pub packets: u64,
}

/// Index of a [`DenialCount`].
#[inline(always)]
pub const fn denial_index(service: ServiceSlot, reason: crate::reason::Reason) -> u32 {
    service as u32 * crate::reason::KERNEL_REASONS + reason as u32
}

/// A service's name, padded with zeros: names are at most 63 bytes.
pub type ServiceName = [u8; 64];
