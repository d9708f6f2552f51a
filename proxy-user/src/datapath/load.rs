//! Loads the programs and opens their maps, pinned where a place is given.

use std::{os::fd::AsFd, path::Path};

use super::{
    Counters, DatapathError, Events, Flows, ForwardedFlows, HalfOpen, Release, Tables,
    backends::BackendMap,
    forwarded::SessionCounts,
    locals::Locals,
    ports::Ports,
    routes::Routes,
    sets::Sets,
    slots::{self, Slots},
    tables::TableMaps,
};
use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Array, HashMap, LpmTrie, Map, MapData, PerCpuArray, RingBuf},
    programs::{SchedClassifier, Xdp},
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/weir.o"));

/// Names of the maps that are pinned: all of them, so that restrictions, flows and
/// counters outlive the daemon.
const MAPS: [&str; 32] = [
    "ROOT",
    "PORTS",
    "LISTENERS",
    "ROOTS4",
    "ROOTS6",
    "CLASSES4",
    "CLASSES6",
    "VERDICTS",
    "LOCALS4",
    "LOCALS6",
    "FLOWS",
    "UDP_FLOWS",
    "PARKED",
    "HALF_OPEN",
    "QUESTIONS",
    "ATTEMPTS",
    "DENIALS",
    "OUTCOME_COUNTS",
    "EVENTS",
    "SERVICE_NAMES",
    "BACKENDS",
    "TURNS",
    "CURSORS",
    "NAT_PORTS",
    "NAT",
    "DIALS",
    "TARGET_NAMES",
    "SESSIONS_OPENED",
    "SESSIONS_CLOSED",
    "SESSIONS_TAKEN",
    "ROUTES4",
    "ROUTES6",
];

/// The programs, by what they do. Verifying one takes the kernel up to half a second, so those
/// that few hosts need (for interfaces without Ethernet, for XDP) are loaded as they are first
/// asked for. That takes the maps that [`Loaded::take`] gave away: they outlive this.
pub struct Programs {
    ebpf: Ebpf,
}

/// The kernel's maps, by what they are for.
pub struct Maps {
    /// What packets are judged by.
    pub tables: Tables,
    /// Established TCP flows, and UDP flows.
    pub flows: Flows,
    /// What the kernel plane forwards.
    pub forwarded: ForwardedFlows,
    /// Handshakes under way.
    pub half_open: HalfOpen,
    /// What was counted.
    pub counters: Counters,
    /// What happened.
    pub events: Events,
    /// What the programs log.
    #[cfg(feature = "log")]
    pub log: super::ProgramLog,
}

/// Programs that the kernel has taken, attached nowhere yet. Their maps are not read:
/// another process may still write them.
pub struct Loaded {
    ebpf: Ebpf,
}

impl Loaded {
    /// Whether the maps have room for services of these names beside those that they
    /// had.
    ///
    /// # Errors
    /// They have not.
    pub fn must_fit<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<(), DatapathError> {
        let map = self.ebpf.map("SERVICE_NAMES").ok_or(DatapathError::Object("SERVICE_NAMES"))?;
        slots::must_fit(&Array::try_from(map)?, names)
    }

    /// Takes the maps over as they are now.
    pub fn take(self) -> Result<(Programs, Maps), DatapathError> {
        let Self { mut ebpf } = self;
        let maps = Maps::take(&mut ebpf)?;
        Ok((Programs { ebpf }, maps))
    }
}

/// Loads the programs that every host needs, for maps with room for `max_flows` of TCP and
/// as many of UDP. With `pins`, those found there are used, and new ones are pinned there.
///
/// # Errors
/// What the kernel refuses, with the verifier's words where it is the verifier.
pub fn load(pins: Option<&Path>, max_flows: u32) -> Result<Loaded, DatapathError> {
    let mut ebpf = open(OBJECT, pins, max_flows)?;
    for program in ["weir_ingress", "weir_egress"] {
        classifier(&mut ebpf, program)?;
    }
    Ok(Loaded { ebpf })
}

/// Opens another object with Weir's maps, unpinned, with room for `max_flows`: the benchmark's,
/// which varies its packets.
///
/// # Errors
/// As [`load`].
pub fn load_other(object: &[u8], max_flows: u32) -> Result<(Programs, Maps), DatapathError> {
    Loaded { ebpf: open(object, None, max_flows)? }.take()
}

fn open(object: &[u8], pins: Option<&Path>, max_flows: u32) -> Result<Ebpf, DatapathError> {
    let btf = Btf::from_sys_fs().ok();
    let mut loader = EbpfLoader::new();
    loader.btf(btf.as_ref());
    let plane = u32::from(Release::of_host().has_plane());
    loader.override_global("PLANE", &plane, true);
    for name in ["FLOWS", "UDP_FLOWS"] {
        loader.map_max_entries(name, max_flows);
    }
    // Two directions each, of TCP and of UDP.
    loader.map_max_entries("NAT", max_flows.saturating_mul(4));
    if let Some(pins) = pins {
        for name in MAPS {
            loader.map_pin_path(name, pins.join(name.to_lowercase()));
        }
    }
    Ok(loader.load(object)?)
}

impl Programs {
    /// A TC program, loaded.
    pub fn classifier(
        &mut self,
        name: &'static str,
    ) -> Result<&mut SchedClassifier, DatapathError> {
        classifier(&mut self.ebpf, name)
    }

    /// An XDP program, loaded.
    pub fn xdp(&mut self, name: &'static str) -> Result<&mut Xdp, DatapathError> {
        xdp(&mut self.ebpf, name)
    }
}

fn classifier<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, DatapathError> {
    let program = ebpf.program_mut(name).ok_or(DatapathError::Object(name))?;
    let program: &mut SchedClassifier = program.try_into()?;
    if program.fd().is_err() {
        program.load()?;
    }
    Ok(program)
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, DatapathError> {
    let program = ebpf.program_mut(name).ok_or(DatapathError::Object(name))?;
    let program: &mut Xdp = program.try_into()?;
    if program.fd().is_err() {
        program.load()?;
    }
    Ok(program)
}

impl Maps {
    fn take(ebpf: &mut Ebpf) -> Result<Self, DatapathError> {
        let tables = TableMaps {
            root: Array::try_from(take(ebpf, "ROOT")?)?,
            ports: Ports::read(Array::try_from(take(ebpf, "PORTS")?)?)?,
            listeners: HashMap::try_from(take(ebpf, "LISTENERS")?)?,
            sets: Sets::new(
                [take(ebpf, "ROOTS4")?, take(ebpf, "ROOTS6")?],
                [take(ebpf, "CLASSES4")?, take(ebpf, "CLASSES6")?, take(ebpf, "VERDICTS")?],
            )?,
            locals: Locals::read(lpm(ebpf, "LOCALS4")?, lpm(ebpf, "LOCALS6")?)?,
            slots: Slots::read(Array::try_from(take(ebpf, "SERVICE_NAMES")?)?)?,
            backends: BackendMap::read(
                HashMap::try_from(take(ebpf, "BACKENDS")?)?,
                Array::try_from(take(ebpf, "TARGET_NAMES")?)?,
            )?,
            nat_ports: Array::try_from(take(ebpf, "NAT_PORTS")?)?,
            routes: Routes::read(lpm_of(ebpf, "ROUTES4")?, lpm_of(ebpf, "ROUTES6")?)?,
            sessions: SessionCounts::of(ebpf)?,
        };
        Ok(Self {
            tables: Tables::take(tables)?,
            flows: Flows {
                tcp: HashMap::try_from(take(ebpf, "FLOWS")?)?,
                udp: HashMap::try_from(take(ebpf, "UDP_FLOWS")?)?,
                parked: HashMap::try_from(take(ebpf, "PARKED")?)?,
                questions: HashMap::try_from(take(ebpf, "QUESTIONS")?)?,
            },
            forwarded: ForwardedFlows::new(
                HashMap::try_from(take(ebpf, "NAT")?)?,
                HashMap::try_from(take(ebpf, "DIALS")?)?,
                SessionCounts::of(ebpf)?,
            ),
            half_open: HalfOpen::new(HashMap::try_from(take(ebpf, "HALF_OPEN")?)?),
            counters: Counters::new(
                PerCpuArray::try_from(take(ebpf, "DENIALS")?)?,
                PerCpuArray::try_from(take(ebpf, "OUTCOME_COUNTS")?)?,
            ),
            events: Events::new(RingBuf::try_from(take(ebpf, "EVENTS")?)?),
            #[cfg(feature = "log")]
            log: super::ProgramLog::take(ebpf)?,
        })
    }
}

fn lpm<K: aya::Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<LpmTrie<MapData, K, u32>, DatapathError> {
    lpm_of(ebpf, name)
}

fn lpm_of<K: aya::Pod, V: aya::Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<LpmTrie<MapData, K, V>, DatapathError> {
    Ok(LpmTrie::try_from(take(ebpf, name)?)?)
}

impl SessionCounts {
    /// The maps, which stay with the object for others to read.
    fn of(ebpf: &Ebpf) -> Result<Self, DatapathError> {
        let array = |name| {
            let map = ebpf.map(name).ok_or(DatapathError::Object(name))?;
            let Map::Array(map) = map else { return Err(DatapathError::Object(name)) };
            let failed = |source| DatapathError::System { call: "dup", source };
            let descriptor = map.fd().as_fd().try_clone_to_owned().map_err(failed)?;
            Ok(Array::try_from(Map::Array(MapData::from_fd(descriptor)?))?)
        };
        Ok(Self {
            opened: array("SESSIONS_OPENED")?,
            closed: array("SESSIONS_CLOSED")?,
            taken: array("SESSIONS_TAKEN")?,
        })
    }
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, DatapathError> {
    ebpf.take_map(name).ok_or(DatapathError::Object(name))
}
