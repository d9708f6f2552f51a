//! The targets of the kernel plane, one generation beside the other.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use aya::maps::{Array, HashMap, MapData};
use proxy_common::{
    address::{Address, Family},
    nat::{self, BackendsKey, MAX_TARGET_SLOTS, MAX_TARGETS, TargetName, TargetSlot},
    tables::ServiceSlot,
};

use super::{DatapathError, error::absent_is_removed, forwarded::SessionCounts, raw::Raw};
use crate::config::{Balance, SourceAddress};

/// The targets of a service that clients are sent to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backends {
    /// Which of them a client gets.
    pub balance: Balance,
    /// As whom it reaches them.
    pub source: SourceAddress,
    /// Addresses of this host from which they are reached; of a family of which there are
    /// none, each from its own.
    pub sources: Vec<IpAddr>,
    /// Sessions at a time.
    pub most_sessions: u32,
    /// Those that are up, or all where none is.
    pub targets: Vec<TargetWay>,
}

impl Backends {
    /// No target: the relay serves every client.
    pub fn nowhere(most_sessions: u32) -> Self {
        Self {
            balance: Balance::RoundRobin,
            source: SourceAddress::Proxy,
            sources: Vec::new(),
            most_sessions,
            targets: Vec::new(),
        }
    }
}

/// A target, and the way there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetWay {
    /// The target.
    pub address: SocketAddr,
    /// What [`proxy_common::balance::affinity`] knows it by.
    pub number: u64,
    /// This host's address on the way there.
    pub source: IpAddr,
    /// Who takes packets to it on the link.
    pub next_hop: IpAddr,
    /// Index of the interface.
    pub interface: u32,
    /// Bytes of an IP packet that the way carries.
    pub mtu: u32,
}

/// Backends in the kernel, and the numbers of their targets.
pub(super) struct BackendMap {
    map: HashMap<MapData, Raw<BackendsKey>, Raw<nat::Backends>>,
    names: Array<MapData, Raw<TargetName>>,
    known: Vec<TargetName>,
    /// Numbers that entries hold.
    listed: BTreeMap<BackendsKey, Vec<TargetSlot>>,
    /// Where the next number is looked for: the one that was free longest comes first.
    next: usize,
}

const NOBODY: TargetName =
    TargetName { address: Address::unspecified(Family::V6), port: 0, service: 0, pad: 0 };

impl BackendMap {
    /// Takes the maps over as they are.
    pub(super) fn read(
        map: HashMap<MapData, Raw<BackendsKey>, Raw<nat::Backends>>,
        names: Array<MapData, Raw<TargetName>>,
    ) -> Result<Self, DatapathError> {
        let known: Vec<_> =
            names.iter().map(|name| name.map(|Raw(name)| name)).collect::<Result<_, _>>()?;
        let mut listed = BTreeMap::new();
        for entry in &map {
            let (Raw(key), Raw(backends)) = entry?;
            listed.insert(key, slots(&backends));
        }
        let next = known.iter().rposition(|name| *name != NOBODY).map_or(0, |last| last + 1);
        Ok(Self { map, names, known, listed, next })
    }

    /// Every entry.
    pub(super) fn keys(&self) -> Vec<BackendsKey> {
        self.listed.keys().copied().collect()
    }

    /// Who has each number.
    pub(super) fn targets(&self) -> impl Iterator<Item = (TargetSlot, SocketAddr)> {
        self.names().map(|(slot, name)| (slot, SocketAddr::new(name.address.into(), name.port)))
    }

    /// Who has each number, and whose target it is.
    pub(super) fn names(&self) -> impl Iterator<Item = (TargetSlot, &TargetName)> {
        (0..).zip(&self.known).filter(|(_, name)| **name != NOBODY)
    }

    /// Writes a service's entries. Numbers of targets that have `sessions` stay theirs.
    pub(super) fn write(
        &mut self,
        (generation, service): (u32, ServiceSlot),
        backends: &Backends,
        sessions: &SessionCounts,
    ) -> Result<Vec<BackendsKey>, DatapathError> {
        let mut written = Vec::new();
        for family in [Family::V4, Family::V6] {
            let key = BackendsKey::new(generation, service, family);
            let entry = self.entry(service, family, backends, sessions)?;
            if entry.count > 0 {
                self.map.insert(Raw(key), Raw(*entry), 0)?;
                self.listed.insert(key, slots(&entry));
                written.push(key);
            } else {
                self.remove(key)?;
            }
        }
        Ok(written)
    }

    /// Gives targets their numbers.
    pub(super) fn name(
        &mut self,
        service: ServiceSlot,
        backends: &Backends,
        sessions: &SessionCounts,
    ) -> Result<(), DatapathError> {
        backends.targets.iter().try_for_each(|way| {
            self.number(TargetName::of(service, way.address), sessions).map(drop)
        })
    }

    pub(super) fn remove(&mut self, key: BackendsKey) -> Result<(), DatapathError> {
        absent_is_removed(self.map.remove(&Raw(key)))?;
        self.listed.remove(&key);
        Ok(())
    }

    fn entry(
        &mut self,
        service: ServiceSlot,
        family: Family,
        backends: &Backends,
        sessions: &SessionCounts,
    ) -> Result<Box<nat::Backends>, DatapathError> {
        let mut entry = Box::new(nat::Backends::EMPTY);
        entry.balance = match backends.balance {
            Balance::RoundRobin => nat::Balance::RoundRobin,
            Balance::LeastConn => nat::Balance::LeastConn,
            Balance::SourceHash => nat::Balance::SourceHash,
        } as u32;
        entry.most_sessions = backends.most_sessions.into();
        if backends.source == SourceAddress::Client {
            entry.flags |= nat::Backends::CLIENT_SOURCE;
        }
        let sources = backends.sources.iter().map(|ip| Address::from(*ip));
        for (room, source) in
            entry.sources.iter_mut().zip(sources.filter(|source| source.family() == family))
        {
            *room = source;
            entry.source_count += 1;
        }
        let own = |way: &&TargetWay| Address::from(way.address.ip()).family() == family;
        for (place, way) in backends.targets.iter().filter(own).take(MAX_TARGETS).enumerate() {
            let name = TargetName::of(service, way.address);
            entry.targets[place] = nat::Target {
                address: name.address,
                source: way.source.into(),
                next_hop: way.next_hop.into(),
                number: way.number,
                interface: way.interface,
                mtu: way.mtu,
                port: name.port,
                slot: self.number(name, sessions)?,
                pad: 0,
            };
            entry.count += 1;
        }
        Ok(entry)
    }

    /// A target's number, a new one where it has none.
    fn number(
        &mut self,
        name: TargetName,
        sessions: &SessionCounts,
    ) -> Result<TargetSlot, DatapathError> {
        let slots = self.known.len();
        if let Some(slot) = self.known.iter().position(|known| *known == name) {
            return Ok(TargetSlot::try_from(slot).unwrap_or(TargetSlot::MAX));
        }
        for step in 0..slots {
            let slot = (self.next + step) % slots;
            let number = TargetSlot::try_from(slot).unwrap_or(TargetSlot::MAX);
            let is_listed = self.listed.values().any(|slots| slots.contains(&number));
            if !is_listed && !sessions.are_at(number) {
                self.names.set(number.into(), Raw(name), 0)?;
                self.known[slot] = name;
                self.next = (slot + 1) % slots;
                return Ok(number);
            }
        }
        Err(DatapathError::TargetsExhausted(MAX_TARGET_SLOTS))
    }
}

fn slots(backends: &nat::Backends) -> Vec<TargetSlot> {
    let count = usize::try_from(backends.count).unwrap_or(usize::MAX);
    backends.targets.iter().take(count).map(|target| target.slot).collect()
}
