//! The services, by the number that the kernel knows them by.

use std::{collections::BTreeMap, time::Duration};

use proxy_common::{
    address::{Family, FlowKey, PROTOCOL_TCP},
    tables::{MAX_SERVICES, ServiceSlot},
};

use crate::{
    config::{Denial, Listen, ListenAddress, Mode, Service},
    record::Protocol,
};

/// What the tracker needs to know of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceInfo {
    /// Its name.
    pub name: String,
    /// The record's `host`.
    pub host: String,
    /// What it speaks.
    pub mode: Mode,
    /// Its `idle_timeout`; the relay minds its own.
    pub idle_timeout: Duration,
    /// `connect_timeout`, and among how many targets it is shared.
    pub connect: (Duration, u32),
    /// `deny = "reset"`.
    pub resets: bool,
    /// Where it listens; empty for one that is gone.
    pub listen: Vec<Listen>,
    /// Of these, where HTTP alone is spoken: requests make the records, and a connection
    /// only where it ends before its first.
    pub http_only: Vec<Listen>,
}

impl From<&Service> for ServiceInfo {
    fn from(service: &Service) -> Self {
        Self {
            name: service.name.clone(),
            host: service.host().to_owned(),
            mode: service.mode,
            idle_timeout: service.idle_timeout,
            connect: (
                service.connect_timeout,
                u32::try_from(service.targets().len()).unwrap_or(u32::MAX).max(1),
            ),
            resets: service.deny == Denial::Reset,
            listen: service.listen.clone(),
            http_only: if service.mode == Mode::Http { service.listen.clone() } else { Vec::new() },
        }
    }
}

impl ServiceInfo {
    /// What stands for services that share listeners: until a connection is led to one of
    /// them, it is nobody's.
    pub fn shared<'a>(services: impl Iterator<Item = &'a Service>) -> Self {
        let mut http_only = BTreeMap::<Listen, bool>::new();
        let streams = |service: &&Service| service.mode.transport() == PROTOCOL_TCP;
        for service in services.filter(|service| !service.is_guard()).filter(streams) {
            for listen in service.listen.iter().copied().chain(service.redirect_listen()) {
                *http_only.entry(listen).or_insert(true) &= service.mode == Mode::Http;
            }
        }
        Self {
            name: String::new(),
            host: String::new(),
            mode: Mode::Tls,
            idle_timeout: Duration::MAX,
            connect: (Duration::MAX, 1),
            resets: false,
            listen: http_only.keys().copied().collect(),
            http_only: http_only.into_iter().filter(|(_, only)| *only).map(|(at, _)| at).collect(),
        }
    }

    /// A service of which only the name is known any more.
    pub fn gone(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            host: name.to_owned(),
            mode: Mode::Tcp,
            idle_timeout: Duration::MAX,
            connect: (Duration::MAX, 1),
            resets: false,
            listen: Vec::new(),
            http_only: Vec::new(),
        }
    }

    /// Whether the service still listens where `flow` ends.
    pub fn serves(&self, flow: &FlowKey) -> bool {
        u32::from(self.mode.transport()) == flow.protocol && hears(&self.listen, flow)
    }

    /// Whether nothing but HTTP is spoken where `flow` ends.
    pub fn speaks_http_only(&self, flow: &FlowKey) -> bool {
        flow.protocol == u32::from(PROTOCOL_TCP) && hears(&self.http_only, flow)
    }

    /// What records say is spoken by a connection of which nothing else is known.
    pub fn protocol_of(&self, flow: &FlowKey) -> Protocol {
        if self.speaks_http_only(flow) { Protocol::Http } else { self.mode.protocol() }
    }

    fn is_shared(&self) -> bool {
        self.name.is_empty()
    }
}

/// Whether `flow` ends at one of these.
fn hears(listen: &[Listen], flow: &FlowKey) -> bool {
    listen.iter().any(|listen| {
        listen.port == flow.service_port
            && match listen.address {
                ListenAddress::Any => true,
                ListenAddress::AnyV4 => flow.service.family() == Family::V4,
                ListenAddress::AnyV6 => flow.service.family() == Family::V6,
                ListenAddress::One(ip) => flow.service == ip.into(),
            }
    })
}

/// Every service that records may name, those that are gone included.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    by_slot: BTreeMap<ServiceSlot, ServiceInfo>,
}

impl Directory {
    /// Takes the services in force; one that is missing stays known as gone.
    pub fn update(&mut self, services: impl IntoIterator<Item = (ServiceSlot, ServiceInfo)>) {
        for service in self.by_slot.values_mut() {
            service.listen.clear();
        }
        self.by_slot.extend(services);
    }

    /// The number of a service of the relay's: the kernel's, or one above all of the
    /// kernel's where that has none for it.
    pub fn number(&mut self, service: &Service) -> ServiceSlot {
        self.number_or(&service.name, || ServiceInfo::from(service))
    }

    /// As [`Self::number`], of a service of which the name alone is told.
    pub fn number_of_name(&mut self, name: &str) -> ServiceSlot {
        self.number_or(name, || ServiceInfo::gone(name))
    }

    fn number_or(&mut self, name: &str, info: impl FnOnce() -> ServiceInfo) -> ServiceSlot {
        if let Some(slot) = self.numbered(name) {
            return slot;
        }
        let above = ServiceSlot::try_from(MAX_SERVICES).unwrap_or(ServiceSlot::MAX);
        let given = self.by_slot.range(above..).next();
        let slot = given.map_or(ServiceSlot::MAX, |(slot, _)| above.max(slot - 1));
        self.by_slot.insert(slot, info());
        slot
    }

    /// What a connection speaks that was led to no service.
    pub fn protocol_of_unled(&self, flow: &FlowKey) -> Protocol {
        let shared = self.by_slot.values().find(|known| known.is_shared());
        shared.map_or(Protocol::Tls, |shared| shared.protocol_of(flow))
    }

    /// The number of the service of that name, where one is known.
    pub fn numbered(&self, name: &str) -> Option<ServiceSlot> {
        self.by_slot.iter().find(|(_, known)| known.name == name).map(|(slot, _)| *slot)
    }

    /// The service of that number.
    pub fn get(&self, slot: ServiceSlot) -> Option<&ServiceInfo> {
        self.by_slot.get(&slot)
    }
}
