//! Policy in the kernel, one generation at a time.
//!
//! A new generation is written beside the one in force: its listeners carry its
//! number, its verdicts lie in the other one of two sets of tables. One store of the
//! root's number then brings it in force, whole, and after a grace period the old
//! entries go. Nothing can fail any more once the number is stored: what cannot go
//! then goes before the next generation.

use aya::maps::{Array, HashMap, MapData};
use ipnet::IpNet;
use proxy_common::{
    address::{Address, Family},
    nat::BackendsKey,
    tables::{Listener, ListenerKey, MAX_SERVICES, Root, ServiceSlot, set_of},
};

use super::{
    DatapathError, Generation, SHARED, ServiceEntry,
    backends::BackendMap,
    error::absent_is_removed,
    forwarded::SessionCounts,
    grace::Grace,
    locals::Locals,
    ports::{Ports, Whose},
    raw::Raw,
    routes::Routes,
    sets::Sets,
    slots::Slots,
};
use crate::{
    config::{Listen, ListenAddress},
    policy::Size,
};

/// The tables that packets are judged by.
pub struct Tables {
    pub(super) root: Array<MapData, Raw<Root>>,
    pub(super) ports: Ports,
    listeners: HashMap<MapData, Raw<ListenerKey>, Raw<Listener>>,
    sets: Sets,
    locals: Locals,
    pub(super) slots: Slots,
    pub(super) backends: BackendMap,
    pub(super) nat_ports: Array<MapData, u64>,
    pub(super) routes: Routes,
    pub(super) sessions: SessionCounts,
    grace: Grace,
    /// Of the generation in force.
    pub(super) held: Held,
    size: Size,
    /// Of no generation in force, and not removed yet.
    left: Left,
    pub(super) current: Root,
}

/// Entries of the maps.
#[derive(Default)]
pub(super) struct Held {
    pub(super) listeners: Vec<ListenerKey>,
    pub(super) backends: Vec<BackendsKey>,
}

impl Held {
    fn extend(&mut self, more: Self) {
        self.listeners.extend(more.listeners);
        self.backends.extend(more.backends);
    }

    fn is_empty(&self) -> bool {
        self.listeners.is_empty() && self.backends.is_empty()
    }
}

/// What no packet reads any more, or none reads yet.
#[derive(Default)]
struct Left {
    entries: Held,
    /// Which set of tables may hold something.
    set: Option<u32>,
}

/// The maps of [`Tables`].
pub(super) struct TableMaps {
    pub(super) root: Array<MapData, Raw<Root>>,
    pub(super) ports: Ports,
    pub(super) listeners: HashMap<MapData, Raw<ListenerKey>, Raw<Listener>>,
    pub(super) sets: Sets,
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
            held: Held { listeners, backends },
            size: Size::default(),
            left: Left {
                entries: Held { listeners: stray, backends: stray_backends },
                // A crash may have left a set half written, or not yet given back.
                set: Some(set_of(current.generation.wrapping_add(1))),
            },
            root: maps.root,
            ports: maps.ports,
            listeners: maps.listeners,
            sets: maps.sets,
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

    /// How large the verdicts are that are in force. Of those that an earlier daemon wrote
    /// nothing is known.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Entries in the listener map.
    pub fn listeners(&self) -> usize {
        self.held.listeners.len() + self.left.entries.listeners.len()
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
        let (outdated, generation) = if switched.is_ok() {
            self.size = next.classes.size();
            (std::mem::replace(&mut self.held, written), number.wrapping_add(1))
        } else {
            (written, number)
        };
        self.left.set = Some(set_of(generation));
        self.left.entries.extend(outdated);
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
        if next.services.len() > MAX_SERVICES as usize {
            return Err(DatapathError::ServicesExhausted(MAX_SERVICES));
        }
        self.sets.write(set_of(number), &next.classes)?;
        for service in &next.services {
            let verdicts = next.classes.verdicts_of(service.place);
            self.write_listeners(service, number, verdicts, held)?;
        }
        Ok(())
    }

    fn write_listeners(
        &mut self,
        service: &ServiceEntry,
        number: u32,
        verdicts: u32,
        held: &mut Held,
    ) -> Result<(), DatapathError> {
        let mut flags = Listener::SERVES;
        let mut slot = self.slots.assign(&service.name)?;
        if service.by_request {
            (flags, slot) = (flags | Listener::BY_NAME, self.slots.assign(SHARED)?);
        }
        for (wanted, flag) in [
            (service.relayed, Listener::RELAYED),
            (service.reset, Listener::RESET),
            (set_of(number) == 1, Listener::ODD),
        ] {
            if wanted {
                flags |= flag;
            }
        }
        if let Some(backends) = &service.forward {
            flags |= Listener::FORWARDED;
            let written = self.backends.write((number, slot), backends, &self.sessions)?;
            held.backends.extend(written);
        }
        let serving = Listener { flags, service: slot, verdicts };
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
        let none = Listener { flags: 0, service: 0, verdicts: 0 };
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
        if self.left.entries.is_empty() && self.left.set.is_none() {
            return Ok(());
        }
        self.grace.wait()?;
        for key in &self.left.entries.listeners {
            absent_is_removed(self.listeners.remove(&Raw(*key)))?;
        }
        let ports = self.held.listeners.iter().map(|key| (key.protocol, key.port));
        self.ports.keep(Whose::Services, ports)?;
        for key in &self.left.entries.backends {
            self.backends.remove(*key)?;
        }
        if let Some(set) = self.left.set {
            self.sets.clear(set)?;
        }
        self.left = Left::default();
        Ok(())
    }
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
