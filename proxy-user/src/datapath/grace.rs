//! Waiting until no packet can still be reading a table.

use std::os::fd::AsFd;

use aya::maps::{ArrayOfMaps, Map, MapData};

use super::{DatapathError, bpf};

/// A map of maps that no program knows: who replaces an inner map returns only when
/// every program run that began before has ended (`maybe_wait_bpf_programs` in
/// `kernel/bpf/syscall.c`, from 4.19).
///
/// `membarrier(MEMBARRIER_CMD_GLOBAL)` would not do: it refuses on hosts booted with
/// `nohz_full=`, and does not wait where one CPU is online, though a preemptible
/// program may be half-way through there.
pub(super) struct Grace {
    outer: ArrayOfMaps<MapData>,
    inner: MapData,
}

impl Grace {
    pub(super) fn new() -> Result<Self, DatapathError> {
        let failed = |source| DatapathError::System { call: "bpf(BPF_MAP_CREATE)", source };
        let inner = MapData::from_fd(bpf::array::<u32>(1, 0).map_err(failed)?)?;
        let outer = bpf::array_of_maps(inner.fd().as_fd()).map_err(failed)?;
        let outer = Map::ArrayOfMaps(MapData::from_fd(outer)?);
        Ok(Self { outer: outer.try_into()?, inner })
    }

    /// Waits for every program run that began before.
    pub(super) fn wait(&mut self) -> Result<(), DatapathError> {
        Ok(self.outer.set(0, &self.inner, 0)?)
    }
}
