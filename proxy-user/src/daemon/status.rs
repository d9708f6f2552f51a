//! How the daemon is, in the API's words.

use std::collections::BTreeMap;

use proxy_common::{flow::FlowState, outcome::Outcome, tables::MAX_PREFIXES};

use super::{
    core::Core,
    engine::{Message, Snapshot},
    reload::hex,
};
use crate::{
    api::{
        Failure,
        model::{
            Flow, GeoipStatus, InterfaceStatus, Loss, MapStatus, Plane, ServiceStatus, Status,
            WriterStatus,
        },
    },
    config::{Config, Hook, Listen, ListenAddress, Service, Target},
    datapath::Attached,
    record::Timestamp,
};

impl Core {
    /// Asks the engine; it answers within a tick.
    fn snapshot(&self) -> Result<Snapshot, Failure> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.inbox.tell(Message::Show(reply));
        answer.blocking_recv().map_err(|_| Failure::Unavailable("the daemon is stopping".into()))
    }

    /// Names of the services by slot, those that are gone too.
    fn slot_names(&self) -> BTreeMap<u16, String> {
        let datapath = self.datapath.lock();
        datapath.iter().flat_map(super::datapath::Datapath::slots).collect()
    }

    /// `/api/status`
    pub(super) fn status(&self) -> Result<Status, Failure> {
        let snapshot = self.snapshot()?;
        let config = self.config.load();
        let names = self.slot_names();
        let (generation, attached, fill) = match &*self.datapath.lock() {
            Some(d) => (d.generation(), d.attached(), d.fill()),
            None => (0, Vec::new(), super::datapath::Fill::default()),
        };
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            generation: generation.into(),
            config_digest: hex(&config.digest),
            interfaces: attached.iter().map(interface).collect(),
            services: self.services(&config, &snapshot, &names),
            maps: maps(&config, &snapshot, fill),
            geoip: self.geoip(&config),
            writer: self.writer_status(),
            losses: self.losses(&snapshot),
            outcomes: snapshot.outcomes.iter().map(|(o, n)| (o.as_str().to_owned(), *n)).collect(),
            warnings: self.warnings(&config),
        })
    }

    fn services(
        &self,
        config: &Config,
        snapshot: &Snapshot,
        names: &BTreeMap<u16, String>,
    ) -> Vec<ServiceStatus> {
        let relay_stats = self.relay.stats();
        let is_of = |slot: u16, service: &Service| names.get(&slot) == Some(&service.name);
        let describe = |service: &Service| {
            let live = snapshot
                .flows
                .iter()
                .filter(|(_, state)| is_of(state.service, service) && !state.has(FlowState::ENDED));
            let relay = relay_stats.get(&service.name);
            let open = relay.map_or_else(|| live.count() as u64, |relay| relay.active.into());
            let recorded = snapshot.recorded.iter().find(|(slot, _)| is_of(**slot, service));
            let mut denied = BTreeMap::new();
            for denials in snapshot.denials.iter().filter(|d| is_of(d.service, service)) {
                *denied.entry(denials.reason.as_str().to_owned()).or_default() +=
                    denials.count.attempts;
            }
            ServiceStatus {
                name: service.name.clone(),
                plane: plane(service),
                listen: service.listen.iter().map(|listen| shown(*listen)).collect(),
                target: target(&service.target),
                open,
                accepted: relay
                    .map_or_else(|| open + recorded.map_or(0, |(_, n)| *n), |relay| relay.opened),
                denied,
                access: access(service),
            }
        };
        config.services.iter().map(|service| describe(service)).collect()
    }

    fn geoip(&self, config: &Config) -> Option<GeoipStatus> {
        let geoip = config.geoip.as_ref()?;
        let built = self.geo.load().as_ref().map(|geo| geo.built());
        let oldest = i64::try_from(geoip.stale_after.as_millis()).unwrap_or(i64::MAX);
        Some(GeoipStatus {
            path: geoip.database.display().to_string(),
            built_at: built,
            loaded: built.is_some(),
            stale: built.is_some_and(|built| Timestamp::now().0.saturating_sub(built.0) > oldest),
            error: self.geo_fault.lock().clone(),
        })
    }

    fn writer_status(&self) -> WriterStatus {
        let stats = self.writer.stats();
        WriterStatus {
            queued: stats.queued as u64,
            lag_ms: u64::try_from(stats.lag.as_millis()).unwrap_or(u64::MAX),
            committed: stats.committed,
            dropped: stats.dropped,
            failing: stats.failing.is_some(),
        }
    }

    fn losses(&self, snapshot: &Snapshot) -> Vec<Loss> {
        let outcome = |wanted| {
            let found = snapshot.outcomes.iter().find(|(outcome, _)| *outcome == wanted);
            found.map_or(0, |(_, count)| *count)
        };
        let writer = self.writer.stats();
        let tracker = snapshot.tracker;
        [
            ("ring_full", outcome(Outcome::RingFull), "events found no room in the ring buffer; counters and the sweep found them"),
            ("denied_events_lost", tracker.lost_events, "denied attempts are told only in aggregates of many sources"),
            ("flows_swept", tracker.swept_flows, "ends of flows were found late, by looking"),
            ("flows_full", outcome(Outcome::FlowsFull), "the flow map was full: guarded connections went unrecorded, relayed ones were counted by the relay"),
            ("relay_without_flow", tracker.without_flow, "the relay counted connections that the kernel did not see: an interface without a hook"),
            ("packets_without_transport", outcome(Outcome::NoTransport), "packets had no transport header and passed; the relay stands behind"),
            ("records_dropped", writer.dropped, "records were dropped: the store failed, or the queue was full"),
            ("attempts_dropped", writer.dropped_attempts, "denied attempts that dropped records stood for"),
        ]
        .map(|(name, count, meaning)| Loss { name: name.into(), count, meaning: meaning.into() })
        .into()
    }

    fn warnings(&self, config: &Config) -> Vec<String> {
        let mut warnings = self.kernel_warnings.lock().clone();
        if let Some(failing) = self.writer.stats().failing {
            warnings.push(format!("the store cannot write: {failing}"));
        }
        let Some(geoip) = self.geoip(config) else { return warnings };
        warnings.extend(geoip.error);
        if !geoip.loaded {
            warnings.push("no country database: country rules deny with geo_unavailable".into());
        }
        if geoip.stale {
            let days = config.geoip.as_ref().map_or(0, |g| g.stale_after.as_secs() / 86_400);
            warnings.push(format!("the country database is older than {days} days"));
        }
        warnings
    }

    /// `/api/flows`
    pub(super) fn flows(&self) -> Result<Vec<Flow>, Failure> {
        let snapshot = self.snapshot()?;
        let names = self.slot_names();
        let geo = self.geo.load();
        let now = snapshot.now;
        let milliseconds = |then| u64::try_from(now.since(then).as_millis()).unwrap_or(u64::MAX);
        let flow = |(key, state): &(proxy_common::address::FlowKey, FlowState)| {
            let source_ip = std::net::IpAddr::from(key.client);
            let relayed = state.has(FlowState::RELAYED);
            Flow {
                service_id: names.get(&state.service).cloned().unwrap_or_default(),
                plane: if relayed { Plane::Relay } else { Plane::Guard },
                source_ip,
                source_port: key.client_port,
                listen_address: key.service.into(),
                listen_port: key.service_port,
                state: condition(state).to_owned(),
                age_ms: milliseconds(state.started),
                idle_ms: milliseconds(state.last_packet),
                bytes_upload: state.up.payload(),
                bytes_download: state.down.payload(),
                packets_upload: state.up.packets,
                packets_download: state.down.packets,
                country_code: geo
                    .as_ref()
                    .and_then(|geo| geo.country(source_ip))
                    .map(|country| country.to_string()),
            }
        };
        Ok(snapshot.flows.iter().map(flow).collect())
    }
}

fn condition(state: &FlowState) -> &'static str {
    let closing = FlowState::CLIENT_CLOSED | FlowState::SERVICE_CLOSED;
    if state.has(FlowState::ENDED) {
        "ended"
    } else if state.has(FlowState::CUT) {
        "cut"
    } else if state.flags & closing != 0 {
        "closing"
    } else {
        "established"
    }
}

fn interface(attached: &Attached) -> InterfaceStatus {
    InterfaceStatus {
        name: attached.interface.name.clone(),
        index: attached.interface.index,
        hook: match attached.hook {
            Hook::Tc => "tc",
            Hook::XdpNative => "xdp-native",
            Hook::XdpGeneric => "xdp-generic",
        }
        .to_owned(),
        why: attached.why.clone(),
    }
}

fn maps(config: &Config, snapshot: &Snapshot, fill: super::datapath::Fill) -> Vec<MapStatus> {
    let map = |name: &str, entries: usize, capacity: u32| MapStatus {
        name: name.to_owned(),
        entries: entries as u64,
        capacity: capacity.into(),
    };
    vec![
        map("flows", snapshot.flows.len(), config.kernel.max_flows.get()),
        map("cidrs", fill.cidrs, MAX_PREFIXES),
        map("countries", fill.countries, MAX_PREFIXES),
    ]
}

fn plane(service: &Service) -> Plane {
    if service.is_guard() { Plane::Guard } else { Plane::Relay }
}

fn shown(listen: Listen) -> String {
    match listen.address {
        ListenAddress::Any => format!(":{}", listen.port),
        ListenAddress::AnyV4 => format!("0.0.0.0:{}", listen.port),
        ListenAddress::AnyV6 => format!("[::]:{}", listen.port),
        ListenAddress::One(ip) => std::net::SocketAddr::new(ip, listen.port).to_string(),
    }
}

fn target(target: &Target) -> String {
    match target {
        Target::Host => "host".to_owned(),
        Target::Address(address) => address.to_string(),
        Target::Name { host, port } => format!("{host}:{port}"),
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
    if parts.is_empty() { "open".to_owned() } else { parts.join(", ") }
}
