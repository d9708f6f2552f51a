//! What the kernel plane knows beside the policy, and what changes while a generation is in
//! force.

use std::{net::SocketAddr, ops::RangeInclusive};

use proxy_common::{
    nat::TargetSlot,
    tables::{Root, ServiceSlot},
};

use super::{Backends, DatapathError, Route, Tables, ports::Whose, raw::Raw};

/// Ports from which targets are reached, in the order of their bits.
const WORDS: u32 = (1 << 16) / u64::BITS;

/// Where answers of targets come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerPorts {
    /// To these ports of this host.
    pub nat: Option<RangeInclusive<u16>>,
    /// Of them, those that something on this host has already.
    pub taken: Vec<u16>,
    /// From these ports of targets, by protocol, to clients' own addresses.
    pub of_targets: Vec<(u8, u16)>,
}

impl Tables {
    /// Makes the host's routes known, by which answers go to clients.
    pub fn set_routes(&mut self, routes: &[Route]) -> Result<(), DatapathError> {
        self.routes.set(routes)
    }

    /// Makes known where answers of targets come in, and from which ports new flows may go.
    pub fn set_answer_ports(&mut self, ports: &AnswerPorts) -> Result<(), DatapathError> {
        let mut words = vec![0u64; WORDS as usize];
        for port in ports.nat.clone().into_iter().flatten() {
            if !ports.taken.contains(&port) {
                words[usize::from(port / 64)] |= 1 << (port % 64);
            }
        }
        for (word, bits) in (0..WORDS).zip(words) {
            self.nat_ports.set(word, bits, 0)?;
        }
        self.ports.keep(Whose::Targets, ports.of_targets.iter().copied())?;
        let nat_ports =
            ports.nat.as_ref().map_or(Root::NO_PORTS, |range| [*range.start(), *range.end()]);
        let flags = if ports.of_targets.is_empty() { 0 } else { Root::CLIENT_SOURCES };
        let root = Root { nat_ports, flags, ..self.current };
        if root != self.current {
            self.root.set(0, Raw(root), 0)?;
            self.current = root;
        }
        Ok(())
    }

    /// Gives a service's targets their numbers, before clients are sent to them.
    pub fn name_targets(
        &mut self,
        service: &str,
        backends: &Backends,
    ) -> Result<(), DatapathError> {
        let slot = self.slots.assign(service)?;
        self.backends.name(slot, backends, &self.sessions)
    }

    /// Sends a service's clients to these targets from now on, where it is forwarded.
    pub fn set_backends(
        &mut self,
        service: &str,
        backends: &Backends,
    ) -> Result<(), DatapathError> {
        let slot = self.slots.assign(service)?;
        let key = (self.current.generation, slot);
        let written = self.backends.write(key, backends, &self.sessions)?;
        let is_old =
            |known: &proxy_common::nat::BackendsKey| (known.generation, known.service) == key;
        self.held.backends.retain(|known| !is_old(known));
        self.held.backends.extend(written);
        Ok(())
    }

    /// Sessions that the kernel plane has with each target, by service.
    pub fn forwarded_sessions(&self) -> impl Iterator<Item = (ServiceSlot, SocketAddr, u64)> {
        let named = self.backends.names();
        named.filter_map(|(slot, name)| {
            let target = SocketAddr::new(name.address.into(), name.port);
            let sessions = self.sessions.now(slot.into()).unwrap_or(0);
            (sessions > 0).then_some((name.service, target, sessions))
        })
    }

    /// Who has each target's number.
    pub fn targets(&self) -> impl Iterator<Item = (TargetSlot, SocketAddr)> {
        self.backends.targets()
    }
}
