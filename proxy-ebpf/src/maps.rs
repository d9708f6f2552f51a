//! The maps. Sizes that the configuration sets are overridden on loading.

use aya_ebpf::{
    bindings::{BPF_F_INNER_MAP, BPF_F_NO_PREALLOC, BPF_RB_NO_WAKEUP},
    btf_maps,
    macros::{btf_map, map},
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
};
use proxy_common::{
    address::FlowKey,
    attempt,
    classes::{Chunk4, Chunk6, ChunkVerdicts, Root6, Roots4},
    flow::{FlowId, FlowState},
    nat::{
        Backends, BackendsKey, MAX_BACKENDS, MAX_DIALS, MAX_ROUTES, MAX_TARGET_SLOTS, Route,
        SESSION_COUNTERS, TargetName, Translation,
    },
    outcome::OUTCOMES,
    reason::KERNEL_REASONS,
    tables::{
        DenialCount, Listener, ListenerKey, MAX_HALF_OPEN, MAX_LISTENERS, MAX_QUESTIONS,
        MAX_SERVICES, PORT_WORDS, Root, SETS, ServiceName,
    },
    udp::Question,
};

use crate::{
    newcomer::Admitted,
    plane::{Pair, Pleas},
};

/// The generation in force, read once for each packet.
#[map]
pub static ROOT: Array<Root> = Array::with_max_entries(1, 0);

/// Ports of services by protocol, a bit each, see [`proxy_common::tables::port_bit`]: packets of
/// all others go on after one look. Behind them are those of targets that see their
/// clients' own addresses.
#[map]
pub static PORTS: Array<u64> = Array::with_max_entries(2 * PORT_WORDS, 0);

/// Ports and addresses of services, by generation.
#[map]
pub static LISTENERS: HashMap<ListenerKey, Listener> =
    HashMap::with_max_entries(MAX_LISTENERS, BPF_F_NO_PREALLOC);

/// Where the search for the class of an IPv4 address begins, for two generations.
#[map]
pub static ROOTS4: Array<Roots4> = Array::with_max_entries(SETS, 0);

/// Where that of an IPv6 address begins.
#[map]
pub static ROOTS6: Array<Root6> = Array::with_max_entries(SETS, 0);

/// Ranges of IPv4, for two generations: each has as many chunks as it needs.
#[btf_map]
pub static CLASSES4: InSets<Chunk4> = InSets::new();

/// Ranges of IPv6.
#[btf_map]
pub static CLASSES6: InSets<Chunk6> = InSets::new();

/// Verdicts on classes, service by service.
#[btf_map]
pub static VERDICTS: InSets<ChunkVerdicts> = InSets::new();

/// An array of a size of its own for each of two generations.
type InSets<T> =
    btf_maps::ArrayOfMaps<btf_maps::Array<T, 1, { BPF_F_INNER_MAP as usize }>, { SETS as usize }>;

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

/// The targets of services that the kernel plane forwards, by generation.
#[map]
pub static BACKENDS: HashMap<BackendsKey, Backends> =
    HashMap::with_max_entries(MAX_BACKENDS, BPF_F_NO_PREALLOC);

/// Clients of each service that were given a target.
#[map]
pub static TURNS: Array<u64> = Array::with_max_entries(MAX_SERVICES, 0);

/// Ports that were taken for each target.
#[map]
pub static CURSORS: Array<u64> = Array::with_max_entries(MAX_TARGET_SLOTS, 0);

/// Ports from which targets may be reached, a bit each.
#[map]
pub static NAT_PORTS: Array<u64> = Array::with_max_entries((1 << 16) / u64::BITS, 0);

/// How packets of forwarded flows are rewritten, each direction by itself.
#[map]
pub static NAT: HashMap<FlowKey, Translation> =
    HashMap::with_max_entries(2 * 262_144, BPF_F_NO_PREALLOC);

/// Forwarded handshakes under way. Not forgotten for others, as each holds a port.
#[map]
pub static DIALS: HashMap<FlowKey, FlowState> =
    HashMap::with_max_entries(MAX_DIALS, BPF_F_NO_PREALLOC);

/// Who has each target's number, so that records of flows can name it.
#[map]
pub static TARGET_NAMES: Array<TargetName> = Array::with_max_entries(MAX_TARGET_SLOTS, 0);

/// Forwarded flows that began, by target and by service, see
/// [`proxy_common::nat::of_service`].
#[map]
pub static SESSIONS_OPENED: Array<u64> = Array::with_max_entries(SESSION_COUNTERS, 0);

/// Those that ended here.
#[map]
pub static SESSIONS_CLOSED: Array<u64> = Array::with_max_entries(SESSION_COUNTERS, 0);

/// Those that the daemon ended.
#[map]
pub static SESSIONS_TAKEN: Array<u64> = Array::with_max_entries(SESSION_COUNTERS, 0);

/// The host's routing table, IPv4.
#[map]
pub static ROUTES4: LpmTrie<[u8; 4], Route> = LpmTrie::with_max_entries(MAX_ROUTES, 0);

/// The host's routing table, IPv6.
#[map]
pub static ROUTES6: LpmTrie<[u8; 16], Route> = LpmTrie::with_max_entries(MAX_ROUTES, 0);

/// What was said of the packet that is under way, see [`crate::newcomer`].
#[map]
pub static ADMITTED: PerCpuArray<Admitted> = PerCpuArray::with_max_entries(1, 0);

/// Where the two directions of a new flow are put together, as [`FRESH`].
#[map]
pub static PAIR: PerCpuArray<Pair> = PerCpuArray::with_max_entries(1, 0);

/// How often the daemon was asked for answers of late.
#[map]
pub static PLEAS: PerCpuArray<Pleas> = PerCpuArray::with_max_entries(1, 0);

/// Where the verifier loses sight of a value.
#[map]
pub static FORGOTTEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// How events are submitted: the daemon looks for them by itself, every few
/// milliseconds. To wake it takes an interrupt.
pub const QUIETLY: u64 = BPF_RB_NO_WAKEUP as u64;

/// Events for the daemon.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Names of the services, so that pinned counters keep their meaning.
#[map]
pub static SERVICE_NAMES: Array<ServiceName> = Array::with_max_entries(MAX_SERVICES, 0);
