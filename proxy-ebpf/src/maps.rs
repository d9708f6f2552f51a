//! The maps. Sizes that the configuration sets are overridden on loading.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_RB_NO_WAKEUP},
    macros::map,
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
};
use proxy_common::{
    address::FlowKey,
    attempt,
    flow::{FlowId, FlowState},
    outcome::OUTCOMES,
    policy::Rules,
    reason::KERNEL_REASONS,
    tables::{
        DenialCount, Listener, ListenerKey, MAX_HALF_OPEN, MAX_LISTENERS, MAX_PREFIXES,
        MAX_QUESTIONS, MAX_RULES, MAX_SERVICES, PORT_WORDS, Prefix4, Prefix6, Root, ServiceName,
    },
    udp::Question,
};

/// The generation in force, read once for each packet.
#[map]
pub static ROOT: Array<Root> = Array::with_max_entries(1, 0);

/// Ports of services by protocol, a bit each, see [`proxy_common::tables::port_bit`]: packets of
/// all others go on after one look.
#[map]
pub static PORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

/// Ports and addresses of services, by generation.
#[map]
pub static LISTENERS: HashMap<ListenerKey, Listener> =
    HashMap::with_max_entries(MAX_LISTENERS, BPF_F_NO_PREALLOC);

/// Layers of restrictions; two generations use different slots.
#[map]
pub static RULES: Array<Rules> = Array::with_max_entries(MAX_RULES, 0);

/// CIDR tables, IPv4.
#[map]
pub static CIDRS4: LpmTrie<Prefix4, u32> = LpmTrie::with_max_entries(MAX_PREFIXES, 0);

/// CIDR tables, IPv6.
#[map]
pub static CIDRS6: LpmTrie<Prefix6, u32> = LpmTrie::with_max_entries(MAX_PREFIXES, 0);

/// Country tables, IPv4.
#[map]
pub static COUNTRIES4: LpmTrie<Prefix4, u32> = LpmTrie::with_max_entries(MAX_PREFIXES, 0);

/// Country tables, IPv6.
#[map]
pub static COUNTRIES6: LpmTrie<Prefix6, u32> = LpmTrie::with_max_entries(MAX_PREFIXES, 0);

/// Prefixes local to this host, from its routing table, IPv4.
#[map]
pub static LOCALS4: LpmTrie<[u8; 4], u32> = LpmTrie::with_max_entries(65_536, 0);

/// Prefixes local to this host, from its routing table, IPv6.
#[map]
pub static LOCALS6: LpmTrie<[u8; 16], u32> = LpmTrie::with_max_entries(65_536, 0);

/// Established TCP flows. Not preallocated: memory for a quarter of a million is taken as
/// they come. An element that is removed may be another flow's at once, on the same
/// CPU; a pointer held across that stays a map value's.
#[map]
pub static FLOWS: HashMap<FlowKey, FlowState> =
    HashMap::with_max_entries(262_144, BPF_F_NO_PREALLOC);

/// UDP flows. In a map of their own: what a flood of datagrams from forged addresses fills
/// up is not TCP's.
#[map]
pub static UDP_FLOWS: HashMap<FlowKey, FlowState> =
    HashMap::with_max_entries(262_144, BPF_F_NO_PREALLOC);

/// TCP flows whose place a new connection took, and UDP flows that the daemon ended, until
/// their record is safe.
#[map]
pub static PARKED: HashMap<FlowId, FlowState> =
    HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Where a new flow's state is put together: the stack has no room for it. Programs that
/// use it do not interrupt each other, as TC runs with softirqs disabled.
#[map]
pub static FRESH: PerCpuArray<FlowState> = PerCpuArray::with_max_entries(1, 0);

/// Handshakes under way, and flows met midway that were not answered yet. What a
/// flood pushes out here costs no established flow.
#[map]
pub static HALF_OPEN: LruHashMap<FlowKey, FlowState> =
    LruHashMap::with_max_entries(MAX_HALF_OPEN, 0);

/// UDP 5-tuples on which the host itself spoke first, and those on which it did not, as
/// far as they are remembered.
#[map]
pub static QUESTIONS: LruHashMap<FlowKey, Question> =
    LruHashMap::with_max_entries(MAX_QUESTIONS, 0);

/// Denied attempts seen lately, see [`proxy_common::attempt`].
#[map]
pub static ATTEMPTS: Array<u64> = Array::with_max_entries(attempt::SLOTS, 0);

/// Denials by service and reason.
#[map]
pub static DENIALS: PerCpuArray<DenialCount> =
    PerCpuArray::with_max_entries(MAX_SERVICES * KERNEL_REASONS, 0);

/// What became of packets.
#[map]
pub static OUTCOME_COUNTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(OUTCOMES, 0);

/// How events are submitted: the daemon looks for them by itself, every few
/// milliseconds. To wake it takes an interrupt.
pub const QUIETLY: u64 = BPF_RB_NO_WAKEUP as u64;

/// Events for the daemon.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Names of the services, so that pinned counters keep their meaning.
#[map]
pub static SERVICE_NAMES: Array<ServiceName> = Array::with_max_entries(MAX_SERVICES, 0);
