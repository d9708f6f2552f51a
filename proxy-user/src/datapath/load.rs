//! Loads the programs and opens their maps, pinned where a place is given.

use std::path::Path;

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Array, HashMap, LpmTrie, Map, MapData, PerCpuArray, RingBuf},
    programs::{SchedClassifier, Xdp},
};
use proxy_common::{
    address::FlowKey,
    flow::FlowState,
    policy::Rules,
    tables::{DenialCount, Listener, ListenerKey, Prefix4, Prefix6, Root, ServiceName},
};

use super::{DatapathError, raw::Raw};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/weir.o"));

/// Names of the maps that are pinned: all of them, so that restrictions, flows and
/// counters outlive the daemon.
const MAPS: [&str; 15] = [
    "ROOT",
    "LISTENERS",
    "RULES",
    "CIDRS4",
    "CIDRS6",
    "COUNTRIES4",
    "COUNTRIES6",
    "LOCALS4",
    "LOCALS6",
    "FLOWS",
    "HALF_OPEN",
    "ATTEMPTS",
    "DENIALS",
    "OUTCOME_COUNTS",
    "EVENTS",
];

type Lpm<K> = LpmTrie<MapData, Raw<K>, u32>;

/// The loaded programs, by what they do.
pub struct Programs {
    ebpf: Ebpf,
}

/// The maps that userspace reads and writes.
pub struct Maps {
    pub(super) root: Array<MapData, Raw<Root>>,
    pub(super) listeners: HashMap<MapData, Raw<ListenerKey>, Raw<Listener>>,
    pub(super) rules: Array<MapData, Raw<Rules>>,
    pub(super) cidrs4: Lpm<Prefix4>,
    pub(super) cidrs6: Lpm<Prefix6>,
    pub(super) countries4: Lpm<Prefix4>,
    pub(super) countries6: Lpm<Prefix6>,
    pub(super) locals4: LpmTrie<MapData, [u8; 4], u32>,
    pub(super) locals6: LpmTrie<MapData, [u8; 16], u32>,
    pub(super) flows: HashMap<MapData, Raw<FlowKey>, Raw<FlowState>>,
    pub(super) denials: PerCpuArray<MapData, Raw<DenialCount>>,
    pub(super) outcomes: PerCpuArray<MapData, u64>,
    pub(super) events: RingBuf<MapData>,
    pub(super) names: Array<MapData, ServiceName>,
}

/// Loads programs and maps. With `pins`, maps found there are taken over and new
/// ones are pinned there.
///
/// # Errors
/// What the kernel refuses, with the verifier's words where it is the verifier.
pub fn load(pins: Option<&Path>, max_flows: u32) -> Result<(Programs, Maps), DatapathError> {
    let btf = Btf::from_sys_fs().ok();
    let mut loader = EbpfLoader::new();
    loader.btf(btf.as_ref()).map_max_entries("FLOWS", max_flows);
    if let Some(pins) = pins {
        for name in MAPS.into_iter().chain(["SERVICE_NAMES"]) {
            loader.map_pin_path(name, pins.join(name.to_lowercase()));
        }
    }
    let mut ebpf = loader.load(OBJECT)?;
    for program in
        ["weir_ingress", "weir_ingress_l3", "weir_egress", "weir_egress_l3", "weir_empty"]
    {
        classifier(&mut ebpf, program)?.load()?;
    }
    for program in ["weir_xdp", "weir_xdp_frags"] {
        xdp(&mut ebpf, program)?.load()?;
    }
    let maps = Maps::take(&mut ebpf)?;
    Ok((Programs { ebpf }, maps))
}

impl Programs {
    /// A TC program.
    pub fn classifier(
        &mut self,
        name: &'static str,
    ) -> Result<&mut SchedClassifier, DatapathError> {
        classifier(&mut self.ebpf, name)
    }

    /// An XDP program.
    pub fn xdp(&mut self, name: &'static str) -> Result<&mut Xdp, DatapathError> {
        xdp(&mut self.ebpf, name)
    }
}

fn classifier<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, DatapathError> {
    let program = ebpf.program_mut(name).ok_or(DatapathError::Object(name))?;
    Ok(program.try_into()?)
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, DatapathError> {
    let program = ebpf.program_mut(name).ok_or(DatapathError::Object(name))?;
    Ok(program.try_into()?)
}

impl Maps {
    fn take(ebpf: &mut Ebpf) -> Result<Self, DatapathError> {
        Ok(Self {
            root: Array::try_from(take(ebpf, "ROOT")?)?,
            listeners: HashMap::try_from(take(ebpf, "LISTENERS")?)?,
            rules: Array::try_from(take(ebpf, "RULES")?)?,
            cidrs4: LpmTrie::try_from(take(ebpf, "CIDRS4")?)?,
            cidrs6: LpmTrie::try_from(take(ebpf, "CIDRS6")?)?,
            countries4: LpmTrie::try_from(take(ebpf, "COUNTRIES4")?)?,
            countries6: LpmTrie::try_from(take(ebpf, "COUNTRIES6")?)?,
            locals4: LpmTrie::try_from(take(ebpf, "LOCALS4")?)?,
            locals6: LpmTrie::try_from(take(ebpf, "LOCALS6")?)?,
            flows: HashMap::try_from(take(ebpf, "FLOWS")?)?,
            denials: PerCpuArray::try_from(take(ebpf, "DENIALS")?)?,
            outcomes: PerCpuArray::try_from(take(ebpf, "OUTCOME_COUNTS")?)?,
            events: RingBuf::try_from(take(ebpf, "EVENTS")?)?,
            names: Array::try_from(take(ebpf, "SERVICE_NAMES")?)?,
        })
    }
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, DatapathError> {
    ebpf.take_map(name).ok_or(DatapathError::Object(name))
}
