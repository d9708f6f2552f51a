//! Policy in the kernel, one generation at a time.
//!
//! A new generation is written beside the one in force: its listeners carry its
//! number, its prefix tables have numbers of their own, its rules lie in the other
//! half of their array. One store of the root's number then brings it in force,
//! whole, and after a grace period the old entries go. Nothing can fail any more
//! once the number is stored: what cannot go then goes before the next generation.

use std::collections::BTreeSet;

use aya::maps::{Array, HashMap, MapData};
use ipnet::IpNet;
use proxy_common::{
    address::{Address, Family},
    nat::BackendsKey,
    policy::{Rules, TableId},
    tables::{Listener, ListenerKey, MAX_RULES, MAX_SERVICES, Root, ServiceSlot},
};

use super::{
    CountryTable, DatapathError, Generation, SHARED, ServiceEntry,
    backends::BackendMap,
    forwarded::SessionCounts,
    grace::Grace,
    locals::Locals,
    ports::{Ports, Whose},
    prefixes::{PrefixMaps, TablePrefix, absent_is_removed},
    raw::Raw,
    routes::Routes,
    slots::Slots,
};
use crate::config::{Listen, ListenAddress};

/// The tables that packets are judged by.
pub struct Tables {
    pub(super) root: Array<MapData, Raw<Root>>,
    pub(super) ports: Ports,
    listeners: HashMap<MapData, Raw<ListenerKey>, Raw<Listener>>,
    rules: Array<MapData, Raw<Rules>>,
    cidrs: PrefixMaps,
    countries: PrefixMaps,
    locals: Locals,
    pub(super) slots: Slots,
    pub(super) backends: BackendMap,
    pub(super) nat_ports: Array<MapData, u64>,
    pub(super) routes: Routes,
    pub(super) sessions: SessionCounts,
    grace: Grace,
    /// Of the generation in force.
    pub(super) held: Held,
    /// Of no generation in force, and not removed yet.
    left: Held,
    pub(super) current: Root,
}

/// Entries of the maps.
#[derive(Default)]
pub(super) struct Held {
    pub(super) listeners: Vec<ListenerKey>,
    cidrs: Vec<TablePrefix>,
    countries: Vec<TablePrefix>,
    pub(super) backends: Vec<BackendsKey>,
}

impl Held {
    fn extend(&mut self, more: Self) {
        self.listeners.extend(more.listeners);
        self.cidrs.extend(more.cidrs);
        self.countries.extend(more.countries);
        self.backends.extend(more.backends);
    }

    fn is_empty(&self) -> bool {
        self.listeners.is_empty()
            && self.cidrs.is_empty()
            && self.countries.is_empty()
            && self.backends.is_empty()
    }
}

/// The maps of [`Tables`].
pub(super) struct TableMaps {
    pub(super) root: Array<MapData, Raw<Root>>,
    pub(super) ports: Ports,
    pub(super) listeners: HashMap<MapData, Raw<ListenerKey>, Raw<Listener>>,
    pub(super) rules: Array<MapData, Raw<Rules>>,
    pub(super) cidrs: PrefixMaps,
    pub(super) countries: PrefixMaps,
    pub(super) locals: Locals,
    pub(super) slots: Slots,
    pub(super) backends: BackendMap,
    pub(super) nat_ports: Array<MapData, u64>,
    pub(super) routes: Routes,
    pub(super) sessions: SessionCounts,
}

impl Tables {
    /// Takes the maps over as they are: empty, or as a daemon before left them.
    pub(super) fn take(maps: TableMaps) -> Result<Self, DatapathError> {
        let Raw(current) = maps.root.get(&0, 0)?;
        let listeners: Vec<_> =
            maps.listeners.keys().map(|key| key.map(|Raw(key)| key)).collect::<Result<_, _>>()?;
        // A crash before the switch leaves entries of the generation that comes next.
        let (listeners, stray) =
            listeners.into_iter().partition(|key| key.generation == current.generation);
        let (backends, stray_backends) =
            maps.backends.keys().into_iter().partition(|key| key.generation == current.generation);
        let mut tables = Self {
            grace: Grace::new()?,
            held: Held {
                listeners,
                cidrs: maps.cidrs.all()?,
                countries: maps.countries.all()?,
                backends,
            },
            left: Held { listeners: stray, backends: stray_backends, ..Held::default() },
            root: maps.root,
            ports: maps.ports,
            listeners: maps.listeners,
            rules: maps.rules,
            cidrs: maps.cidrs,
            countries: maps.countries,
            locals: maps.locals,
            slots: maps.slots,
            backends: maps.backends,
            nat_ports: maps.nat_ports,
            routes: maps.routes,
            sessions: maps.sessions,
            current,
        };
        if tables.current.epoch == 0 {
            let [first, second, epoch] = random()?;
            tables.current = Root {
                generation: 0,
                nat_ports: Root::NO_PORTS,
                hash_key: [first, second],
                epoch: epoch | 1,
                flags: 0,
                pad: 0,
            };
            tables.root.set(0, Raw(tables.current), 0)?;
        }
        Ok(tables)
    }

    /// Names this set of maps: kernel totals are accounted under it.
    pub fn epoch(&self) -> u64 {
        self.current.epoch
    }

    /// The generation in force; 0 before the first.
    pub fn generation(&self) -> u32 {
        self.current.generation
    }

    /// Every service that has a slot, also those that are gone.
    pub fn services(&self) -> impl Iterator<Item = (ServiceSlot, &str)> {
        self.slots.all()
    }

    /// A number above every table's: tables made from here on take it and the ones
    /// after it.
    pub fn next_table(&self) -> TableId {
        let known = [&self.held, &self.left];
        let tables = known.iter().flat_map(|held| held.cidrs.iter().chain(&held.countries));
        tables.map(|(table, _)| *table).max().unwrap_or(0) + 1
    }

    /// Entries in the prefix maps: CIDRs, countries.
    pub fn fill(&self) -> (usize, usize) {
        let known = [&self.held, &self.left];
        let sum = |of: fn(&Held) -> usize| known.iter().map(|held| of(held)).sum();
        (sum(|held| held.cidrs.len()), sum(|held| held.countries.len()))
    }

    /// Entries in the listener map.
    pub fn listeners(&self) -> usize {
        self.held.listeners.len() + self.left.listeners.len()
    }

    /// Makes the host's own prefixes known.
    pub fn set_locals(&mut self, prefixes: &[IpNet]) -> Result<(), DatapathError> {
        self.locals.set(prefixes)
    }

    /// Brings a generation in force. Where it fails, the one before stays.
    pub fn install(&mut self, next: &Generation) -> Result<(), DatapathError> {
        // What an earlier one could not remove may bear this one's number.
        self.clear()?;
        let number = self.current.generation.wrapping_add(1).max(1);
        let mut written = Held::default();
        let switched = self.write(next, number, &mut written).and_then(|()| self.switch_to(number));
        let outdated = match switched {
            Ok(()) => std::mem::replace(&mut self.held, written),
            Err(_) => written,
        };
        self.left.extend(outdated);
        if let Err(error) = self.clear() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "old entries stay in the kernel's tables until the next change");
        }
        switched
    }

    fn switch_to(&mut self, number: u32) -> Result<(), DatapathError> {
        let next = Root { generation: number, ..self.current };
        self.root.set(0, Raw(next), 0)?;
        self.current = next;
        Ok(())
    }

    fn write(
        &mut self,
        next: &Generation,
        number: u32,
        held: &mut Held,
    ) -> Result<(), DatapathError> {
        let half = if number.is_multiple_of(2) { 0 } else { MAX_RULES / 2 };
        self.rules.set(half, Raw(next.global), 0)?;
        for (table, prefix, flags) in &next.cidrs {
            held.cidrs.push((*table, *prefix));
            self.cidrs.insert((*table, *prefix), flags.0)?;
        }
        if let Some(table) = &next.countries {
            self.write_countries(table, held)?;
        }
        if next.services.len() > MAX_SERVICES as usize {
            return Err(DatapathError::ServicesExhausted(MAX_SERVICES));
        }
        for (slot, service) in (half + 1..).zip(&next.services) {
            self.rules.set(slot, Raw(service.rules), 0)?;
            self.write_listeners(service, number, (half, slot), held)?;
        }
        Ok(())
    }

    fn write_countries(
        &mut self,
        table: &CountryTable,
        held: &mut Held,
    ) -> Result<(), DatapathError> {
        let known = self.held.countries.first().is_some_and(|(id, _)| *id == table.id)
            && self.held.countries.len() == table.prefixes.len();
        for (prefix, country) in table.prefixes.iter() {
            held.countries.push((table.id, *prefix));
            if !known {
                self.countries.insert((table.id, *prefix), u32::from(country.to_stored()))?;
            }
        }
        Ok(())
    }

    fn write_listeners(
        &mut self,
        service: &ServiceEntry,
        number: u32,
        (global_rules, own_rules): (u32, u32),
        held: &mut Held,
    ) -> Result<(), DatapathError> {
        let mut flags = Listener::SERVES;
        let mut slot = self.slots.assign(&service.name)?;
        if service.by_request {
            (flags, slot) = (flags | Listener::BY_NAME, self.slots.assign(SHARED)?);
        }
        for (wanted, flag) in
            [(service.relayed, Listener::RELAYED), (service.reset, Listener::RESET)]
        {
            if wanted {
                flags |= flag;
            }
        }
        if let Some(backends) = &service.forward {
            flags |= Listener::FORWARDED;
            let written = self.backends.write((number, slot), backends, &self.sessions)?;
            held.backends.extend(written);
        }
        let serving = Listener { flags, service: slot, own_rules, global_rules };
        for listen in &service.listen {
            for (key, single) in keys(*listen, service.transport, number) {
                if single {
                    self.mark_port(&key, held)?;
                }
                let listener = self.beside(self.listener(&key)?, serving)?;
                self.put(key, listener, held)?;
            }
        }
        Ok(())
    }

    /// What stands in the place of a listener beside which another service listens, or of
    /// which single addresses are noted.
    fn beside(
        &mut self,
        known: Option<Listener>,
        serving: Listener,
    ) -> Result<Listener, DatapathError> {
        match known {
            // Services share a listener only where they are told apart by name.
            Some(first) if first.has(Listener::SERVES) && first.service != serving.service => {
                let (flags, service) =
                    (first.flags | Listener::BY_NAME, self.slots.assign(SHARED)?);
                Ok(Listener { flags, service, ..first })
            }
            Some(noted) => Ok(Listener { flags: serving.flags | noted.flags, ..serving }),
            None => Ok(serving),
        }
    }

    /// Notes on a port's wildcard that entries for single addresses exist.
    fn mark_port(&mut self, key: &ListenerKey, held: &mut Held) -> Result<(), DatapathError> {
        let address = Address::unspecified(key.address.family());
        let wildcard = ListenerKey { address, ..*key };
        let none = Listener { flags: 0, service: 0, own_rules: 0, global_rules: 0 };
        let known = self.listener(&wildcard)?.unwrap_or(none);
        self.put(wildcard, Listener { flags: known.flags | Listener::HAS_ADDRESSES, ..known }, held)
    }

    fn listener(&self, key: &ListenerKey) -> Result<Option<Listener>, DatapathError> {
        match self.listeners.get(&Raw(*key), 0) {
            Ok(Raw(listener)) => Ok(Some(listener)),
            Err(aya::maps::MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn put(
        &mut self,
        key: ListenerKey,
        listener: Listener,
        held: &mut Held,
    ) -> Result<(), DatapathError> {
        self.listeners.insert(Raw(key), Raw(listener), 0)?;
        held.listeners.push(key);
        self.ports.add(key.protocol, key.port)
    }

    /// Removes what is left, once no packet can still be reading it.
    fn clear(&mut self) -> Result<(), DatapathError> {
        if self.left.is_empty() {
            return Ok(());
        }
        self.grace.wait()?;
        for key in &self.left.listeners {
            absent_is_removed(self.listeners.remove(&Raw(*key)))?;
        }
        let ports = self.held.listeners.iter().map(|key| (key.protocol, key.port));
        self.ports.keep(Whose::Services, ports)?;
        for key in &self.left.backends {
            self.backends.remove(*key)?;
        }
        // Generations may share tables.
        let stays = tables_of(&self.held.cidrs);
        for prefix in self.left.cidrs.iter().filter(|(table, _)| !stays.contains(table)) {
            self.cidrs.remove(*prefix)?;
        }
        let stays = tables_of(&self.held.countries);
        for prefix in self.left.countries.iter().filter(|(table, _)| !stays.contains(table)) {
            self.countries.remove(*prefix)?;
        }
        self.left = Held::default();
        Ok(())
    }
}

fn tables_of(prefixes: &[TablePrefix]) -> BTreeSet<TableId> {
    prefixes.iter().map(|(table, _)| *table).collect()
}

/// The keys of one `listen` entry of a protocol, and whether each is of a single address.
fn keys(listen: Listen, transport: u8, generation: u32) -> Vec<(ListenerKey, bool)> {
    let wildcard =
        |family| (ListenerKey::wildcard(generation, listen.port, transport, family), false);
    match listen.address {
        ListenAddress::Any => vec![wildcard(Family::V4), wildcard(Family::V6)],
        ListenAddress::AnyV4 => vec![wildcard(Family::V4)],
        ListenAddress::AnyV6 => vec![wildcard(Family::V6)],
        ListenAddress::One(ip) => {
            let address = Address::from(ip);
            let (key, _) = wildcard(address.family());
            vec![(ListenerKey { address, ..key }, true)]
        }
    }
}

fn random<const N: usize>() -> Result<[u64; N], DatapathError> {
    let mut words = [0; N];
    for word in &mut words {
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| DatapathError::System { call: "getrandom", source: error.into() })?;
        *word = u64::from_ne_bytes(bytes);
    }
    Ok(words)
}
