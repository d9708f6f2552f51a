//! How services are, in the API's words.

use std::collections::BTreeMap;

use proxy_common::flow::FlowState;

use super::{core::Core, datapath::Datapath, inbox::Snapshot, planes::Plan};
use crate::{
    api::model::{Plane, ServiceStatus, TargetStatus},
    config::{Config, Listen, ListenAddress, Service},
    relay::{Stats, TargetState},
};

impl Core {
    pub(super) fn services(
        &self,
        config: &Config,
        snapshot: &Snapshot,
        names: &BTreeMap<u16, String>,
    ) -> Vec<ServiceStatus> {
        let (relay, mut targets) = (self.relay.stats(), self.relay.targets());
        let forwarded = self.datapath.lock().as_ref().map(Datapath::sessions).unwrap_or_default();
        let mut status = |service: &Service| {
            let relay = relay.get(&service.name);
            let (mut open, mut accepted) =
                relay.map_or((0, 0), |relay| (relay.active.into(), relay.opened));
            if relay.is_none() || service.unfit_for_kernel().is_none() {
                let (more, ever) = self.in_the_kernel(service, snapshot, names);
                (open, accepted) = (open + more, accepted + ever);
            }
            let (plane, plane_reason) = self.plane_of(service);
            let target = |state| target(state, &service.name, &forwarded);
            ServiceStatus {
                name: service.name.clone(),
                plane,
                plane_reason,
                listen: service.listen.iter().map(|listen| shown(*listen)).collect(),
                targets: targets.remove(&service.name).into_iter().flatten().map(target).collect(),
                open,
                accepted,
                denied: denied(service, relay, snapshot, names),
                access: access(service),
            }
        };
        config.services.iter().map(|service| status(service)).collect()
    }

    /// What carries a service's new connections, and why the relay does, where the kernel
    /// plane was to.
    fn plane_of(&self, service: &Service) -> (Plane, Option<String>) {
        match self.planes.of(&service.name) {
            Some(Plan::Kernel(_)) => (Plane::Kernel, None),
            Some(Plan::Relay(why)) if service.unfit_for_kernel().is_none() => {
                (Plane::Relay, Some(why))
            }
            _ => (if service.is_guard() { Plane::Guard } else { Plane::Relay }, None),
        }
    }

    /// Connections that the relay has no part in: open now, and ever accepted. A connection
    /// that just ended is for a moment in neither of the books that the second is the sum of,
    /// and must not make it fall.
    fn in_the_kernel(
        &self,
        service: &Service,
        snapshot: &Snapshot,
        names: &BTreeMap<u16, String>,
    ) -> (u64, u64) {
        let is_own = |slot: u16| names.get(&slot) == Some(&service.name);
        let live = |(_, state): &&(_, FlowState)| {
            let not = [FlowState::ENDED, FlowState::RELAYED];
            is_own(state.service) && !not.iter().any(|flag| state.has(*flag))
        };
        let open = snapshot.flows.iter().filter(live).count() as u64;
        let recorded = snapshot.recorded.iter().find(|(slot, _)| is_own(**slot));
        let counted = open + recorded.map_or(0, |(_, count)| *count);
        let mut accepted = self.accepted.lock();
        let most = accepted.entry(service.name.clone()).or_default();
        *most = counted.max(*most);
        (open, *most)
    }
}

/// Denials of the kernel's, and of the relay's where the kernel missed them.
fn denied(
    service: &Service,
    relay: Option<&Stats>,
    snapshot: &Snapshot,
    names: &BTreeMap<u16, String>,
) -> BTreeMap<String, u64> {
    let own = snapshot.denials.iter().filter(|d| names.get(&d.service) == Some(&service.name));
    let kernel = own.map(|denials| (denials.reason, denials.count.attempts));
    let relay = relay.into_iter().flat_map(|stats| stats.denied.iter().map(|(r, n)| (*r, *n)));
    let mut denied = BTreeMap::new();
    for (reason, count) in kernel.chain(relay) {
        *denied.entry(reason.as_str().to_owned()).or_default() += count;
    }
    denied
}

fn shown(listen: Listen) -> String {
    match listen.address {
        ListenAddress::Any => format!(":{}", listen.port),
        ListenAddress::AnyV4 => format!("0.0.0.0:{}", listen.port),
        ListenAddress::AnyV6 => format!("[::]:{}", listen.port),
        ListenAddress::One(ip) => std::net::SocketAddr::new(ip, listen.port).to_string(),
    }
}

fn target(
    state: TargetState,
    service: &str,
    forwarded: &BTreeMap<(String, String), u64>,
) -> TargetStatus {
    let place = (service.to_owned(), state.target.to_string());
    TargetStatus {
        target: state.target.to_string(),
        up: state.error.is_none(),
        since: state.since,
        sessions: u64::from(state.sessions) + forwarded.get(&place).copied().unwrap_or(0),
        error: state.error,
    }
}

fn access(service: &Service) -> String {
    let access = &service.access;
    let mut parts = Vec::new();
    if let Some(allowed) = &access.allowed_cidrs {
        parts.push(format!("{} allowed prefixes", allowed.len()));
    }
    if !access.blocked_cidrs.is_empty() {
        parts.push(format!("{} blocked prefixes", access.blocked_cidrs.len()));
    }
    let codes = |set: &proxy_common::country::CountrySet| {
        let codes: Vec<String> = set.iter().map(|country| country.to_string()).collect();
        codes.join(" ")
    };
    if let Some(allowed) = &access.allowed_countries {
        parts.push(format!("countries allowed: {}", codes(allowed)));
    }
    if !access.blocked_countries.is_empty() {
        parts.push(format!("countries blocked: {}", codes(&access.blocked_countries)));
    }
    if access.mode == crate::config::AccessMode::Observe {
        parts.push("only observed".to_owned());
    }
    if service.web().is_some_and(|web| web.auth.is_some()) {
        parts.push("sign-in".to_owned());
    }
    if parts.is_empty() { "open".to_owned() } else { parts.join(", ") }
}
