//! Tables of verdicts in the kernel: a set for each of two generations, which take turns.

use std::os::fd::{AsFd, AsRawFd};

use aya::maps::{Map, MapData};
use proxy_common::tables::SETS;

use super::{DatapathError, bpf, raw::Layout};
use crate::policy::Classes;

/// The maps of both sets.
pub(super) struct Sets {
    /// Where a search begins; there is room for both.
    roots4: MapData,
    roots6: MapData,
    v4: Arrays,
    v6: Arrays,
    verdicts: Arrays,
}

impl Sets {
    pub(super) fn new(roots: [Map; 2], arrays: [Map; 3]) -> Result<Self, DatapathError> {
        let [Map::Array(roots4), Map::Array(roots6)] = roots else {
            return Err(DatapathError::Object("ROOTS4"));
        };
        let [v4, v6, verdicts] = arrays.map(Arrays::of);
        Ok(Self { roots4, roots6, v4: v4?, v6: v6?, verdicts: verdicts? })
    }

    /// Writes the set of a generation that no packet knows of yet.
    pub(super) fn write(&mut self, set: u32, classes: &Classes) -> Result<(), DatapathError> {
        self.v4.put(set, classes.chunks4())?;
        self.v6.put(set, classes.chunks6())?;
        self.verdicts.put(set, classes.verdicts())?;
        bpf::set_element(self.roots4.fd().as_fd(), set, classes.roots4())
            .map_err(failed(UPDATE))?;
        bpf::set_element(self.roots6.fd().as_fd(), set, classes.root6()).map_err(failed(UPDATE))
    }

    /// Gives back what the set of a generation takes that no packet knows of any more.
    pub(super) fn clear(&mut self, set: u32) -> Result<(), DatapathError> {
        [&mut self.v4, &mut self.v6, &mut self.verdicts]
            .into_iter()
            .try_for_each(|arrays| arrays.remove(set))
    }
}

/// A map of arrays: a set's each, of its own size.
struct Arrays {
    outer: MapData,
    /// Whether a set may have one.
    filled: [bool; SETS as usize],
}

impl Arrays {
    fn of(map: Map) -> Result<Self, DatapathError> {
        let Map::ArrayOfMaps(outer) = map else { return Err(DatapathError::Object("VERDICTS")) };
        Ok(Self { outer, filled: [true; SETS as usize] })
    }

    fn put<T: Layout>(&mut self, set: u32, chunks: &[T]) -> Result<(), DatapathError> {
        let Some(count) = u32::try_from(chunks.len()).ok().filter(|count| *count > 0) else {
            return self.remove(set);
        };
        let inner = bpf::array::<T>(count, bpf::INNER).map_err(failed("bpf(BPF_MAP_CREATE)"))?;
        for (index, chunk) in (0..).zip(chunks) {
            bpf::set_element(inner.as_fd(), index, chunk).map_err(failed(UPDATE))?;
        }
        self.filled[set as usize] = true;
        bpf::set_element(self.outer.fd().as_fd(), set, &inner.as_raw_fd()).map_err(failed(UPDATE))
    }

    fn remove(&mut self, set: u32) -> Result<(), DatapathError> {
        if self.filled[set as usize] {
            bpf::remove_element(self.outer.fd().as_fd(), set)
                .map_err(failed("bpf(BPF_MAP_DELETE_ELEM)"))?;
            self.filled[set as usize] = false;
        }
        Ok(())
    }
}

const UPDATE: &str = "bpf(BPF_MAP_UPDATE_ELEM)";

fn failed(call: &'static str) -> impl FnOnce(std::io::Error) -> DatapathError {
    move |source| DatapathError::System { call, source }
}
