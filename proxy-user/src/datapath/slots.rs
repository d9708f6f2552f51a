//! Service slots: numbers that pinned counters are kept under. A name keeps its
//! slot for the life of the maps, also when its service goes and comes back.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
};

use aya::maps::{Array, MapData};
use proxy_common::tables::{MAX_SERVICES, ServiceName, ServiceSlot};

use super::DatapathError;

/// Names and their slots.
pub(super) struct Slots {
    map: Array<MapData, ServiceName>,
    by_name: BTreeMap<String, ServiceSlot>,
}

impl Slots {
    /// Reads the names that the map holds.
    pub(super) fn read(map: Array<MapData, ServiceName>) -> Result<Self, DatapathError> {
        let by_name = known(&map)?;
        Ok(Self { map, by_name })
    }

    /// The slot of a name, a new one where it has none yet.
    pub(super) fn assign(&mut self, name: &str) -> Result<ServiceSlot, DatapathError> {
        if let Some(slot) = self.by_name.get(name) {
            return Ok(*slot);
        }
        let slot = ServiceSlot::try_from(self.by_name.len()).unwrap_or(ServiceSlot::MAX);
        if u32::from(slot) >= MAX_SERVICES {
            return Err(DatapathError::ServicesExhausted(MAX_SERVICES));
        }
        let mut padded = [0; 64];
        for (to, from) in padded.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        self.map.set(u32::from(slot), padded, 0)?;
        self.by_name.insert(name.to_owned(), slot);
        Ok(slot)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (ServiceSlot, &str)> {
        self.by_name.iter().map(|(name, slot)| (*slot, name.as_str()))
    }
}

/// The names that a map holds.
fn known(
    map: &Array<impl Borrow<MapData>, ServiceName>,
) -> Result<BTreeMap<String, ServiceSlot>, DatapathError> {
    let mut by_name = BTreeMap::new();
    for (slot, name) in (0..).zip(map.iter()) {
        let name = name?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        if end == 0 {
            break;
        }
        by_name.insert(String::from_utf8_lossy(&name[..end]).into_owned(), slot);
    }
    Ok(by_name)
}

/// Whether a map has slots for all these names.
///
/// # Errors
/// It has not.
pub(super) fn must_fit<'a>(
    map: &Array<impl Borrow<MapData>, ServiceName>,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), DatapathError> {
    let known = known(map)?;
    let new: BTreeSet<&str> = names.filter(|name| !known.contains_key(*name)).collect();
    if known.len() + new.len() > MAX_SERVICES as usize {
        return Err(DatapathError::ServicesExhausted(MAX_SERVICES));
    }
    Ok(())
}
