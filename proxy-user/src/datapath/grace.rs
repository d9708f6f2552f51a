//! Waiting until no packet can still be reading a table.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use aya::maps::{ArrayOfMaps, Map, MapData};

use super::DatapathError;

/// `include/uapi/linux/bpf.h`
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_ARRAY_OF_MAPS: u32 = 12;

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
        let inner = MapData::from_fd(array(BPF_MAP_TYPE_ARRAY, 0).map_err(failed)?)?;
        let like = inner.fd().as_fd().as_raw_fd();
        let outer = array(BPF_MAP_TYPE_ARRAY_OF_MAPS, like).map_err(failed)?;
        let outer = Map::ArrayOfMaps(MapData::from_fd(outer)?);
        Ok(Self { outer: outer.try_into()?, inner })
    }

    /// Waits for every program run that began before.
    pub(super) fn wait(&mut self) -> Result<(), DatapathError> {
        Ok(self.outer.set(0, &self.inner, 0)?)
    }
}

/// An array of one entry; aya makes arrays of maps only from an object. `inner` is a
/// map like those that one of maps will hold.
fn array(kind: u32, inner: RawFd) -> io::Result<OwnedFd> {
    // Sizes of key and value, entries, flags; as `bpf(2)` has them.
    let attributes = [kind, 4, 4, 1, 0, inner.cast_unsigned()];
    // SAFETY: the kernel reads as many bytes as it is told there are.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_MAP_CREATE, attributes.as_ptr(), size_of_val(&attributes))
    };
    match RawFd::try_from(fd) {
        // SAFETY: the descriptor is new and nobody else's.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}
