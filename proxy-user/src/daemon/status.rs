//! How the daemon is, in the API's words.

use std::collections::BTreeMap;

use proxy_common::{
    address::{FlowKey, PROTOCOL_UDP},
    flow::FlowState,
    outcome::Outcome,
    tables::{MAX_HALF_OPEN, MAX_LISTENERS, MAX_SERVICES},
};

use super::{
    core::Core,
    inbox::{Message, Snapshot},
    reload::hex,
};
use crate::{
    api::{
        Failure,
        model::{
            CertificateStatus, Flow, GeoipStatus, InterfaceStatus, Loss, MapStatus, Plane,
            RequestStatus, SinkStatus, Status, WriterStatus,
        },
    },
    config::{Config, Hook},
    datapath::Attached,
    flow::RequestCounts,
    policy::{MAX_BYTES, MAX_CLASSES},
    record::{Protocol, Timestamp},
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
        let sinks = self.sinks.status(&self.store);
        let certificates = self.certificates();
        let (generation, attached, fill) = match &*self.datapath.lock() {
            Some(d) => (d.generation(), d.attached(), d.fill()),
            None => (0, Vec::new(), super::datapath::Fill::default()),
        };
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            generation: generation.into(),
            config_digest: hex(&config.digest),
            interfaces: self.interfaces(&attached),
            services: self.services(&config, &snapshot, &names),
            maps: maps(&snapshot, &names, fill),
            geoip: self.geoip(&config),
            certificates: certificates.clone(),
            writer: self.writer_status(),
            sinks: sinks.clone(),
            losses: self.losses(&snapshot),
            outcomes: snapshot.outcomes.iter().map(|(o, n)| (o.as_str().to_owned(), *n)).collect(),
            requests: snapshot.requests.iter().map(|(s, n)| (s.clone(), requests(*n))).collect(),
            warnings: self.warnings(&config, &sinks, &certificates),
        })
    }

    /// Those that are watched, and those that should be.
    fn interfaces(&self, attached: &[Attached]) -> Vec<InterfaceStatus> {
        let coverage = self.coverage.lock();
        let refused = coverage
            .refused
            .iter()
            .map(|refused| hooked(&refused.name, refused.index, "none", &refused.why));
        let awaited = coverage.awaited.iter().map(|name| hooked(name, 0, "none", "it is awaited"));
        attached.iter().map(interface).chain(refused).chain(awaited).collect()
    }

    fn geoip(&self, config: &Config) -> Option<GeoipStatus> {
        let geoip = config.geoip.as_ref()?;
        let built = self.geo.load().as_ref().map(|geo| geo.built());
        let faults = self.geo_faults.lock().clone();
        let oldest = i64::try_from(geoip.stale_after.as_millis()).unwrap_or(i64::MAX);
        Some(GeoipStatus {
            path: geoip.database.display().to_string(),
            built_at: built,
            loaded: built.is_some(),
            stale: built.is_some_and(|built| Timestamp::now().0.saturating_sub(built.0) > oldest),
            error: faults.file.or(faults.update),
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
            ("resets_suppressed", snapshot.resets_suppressed, "denied packets were dropped instead of reset: more came than may be answered"),
            ("attempts_dropped", writer.dropped_attempts, "denied attempts that dropped records stood for"),
        ]
        .map(|(name, count, meaning)| Loss { name: name.into(), count, meaning: meaning.into() })
        .into()
    }

    fn warnings(
        &self,
        config: &Config,
        sinks: &[SinkStatus],
        certificates: &[CertificateStatus],
    ) -> Vec<String> {
        let mut warnings: Vec<String> = self.kernel_fault.iter().cloned().collect();
        warnings.extend(self.coverage.lock().told());
        for sink in sinks {
            if let (Some(since), Some(error)) = (sink.failing_since, &sink.error) {
                warnings.push(format!("a sink cannot be written since {since}: {error}"));
            }
        }
        if let Some(failing) = self.writer.stats().failing {
            warnings.push(format!("the store cannot write: {failing}"));
        }
        warnings.extend(super::certificates::warnings(certificates));
        warnings.extend(self.certificates.faults());
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
        let config = self.config.load();
        let services = config.services.iter();
        let protocols = services.map(|service| (&*service.name, service.mode.protocol())).collect();
        let geo = self.geo.load();
        let now = snapshot.now;
        let milliseconds = |then| u64::try_from(now.since(then).as_millis()).unwrap_or(u64::MAX);
        let flow = |(key, state): &(FlowKey, FlowState)| {
            let service_id = names.get(&state.service).cloned().unwrap_or_default();
            let source_ip = std::net::IpAddr::from(key.client);
            Flow {
                protocol: protocol(key, &service_id, &protocols).as_str().to_owned(),
                service_id,
                plane: plane(state),
                source_ip,
                source_port: key.client_port,
                listen_address: key.service.into(),
                listen_port: key.service_port,
                state: condition(key, state).to_owned(),
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

fn requests(counts: RequestCounts) -> RequestStatus {
    let RequestCounts { allowed, denied, error } = counts;
    RequestStatus { allowed, denied, error }
}

fn plane(state: &FlowState) -> Plane {
    if state.has(FlowState::FORWARDED) {
        Plane::Kernel
    } else if state.has(FlowState::RELAYED) {
        Plane::Relay
    } else {
        Plane::Guard
    }
}

fn is_udp(key: &FlowKey) -> bool {
    key.protocol == u32::from(PROTOCOL_UDP)
}

/// Of a service that is gone only the transport is known.
fn protocol(key: &FlowKey, service: &str, known: &BTreeMap<&str, Protocol>) -> Protocol {
    match known.get(service) {
        _ if is_udp(key) => Protocol::Udp,
        Some(protocol) => *protocol,
        None => Protocol::Tcp,
    }
}

fn condition(key: &FlowKey, state: &FlowState) -> &'static str {
    let closing = FlowState::CLIENT_CLOSED | FlowState::SERVICE_CLOSED;
    if state.has(FlowState::ENDED) {
        "ended"
    } else if state.has(FlowState::CUT) {
        "cut"
    } else if state.flags & closing != 0 {
        "closing"
    } else if is_udp(key) && !state.has(FlowState::ESTABLISHED) {
        "unanswered"
    } else {
        "established"
    }
}

fn interface(attached: &Attached) -> InterfaceStatus {
    let hook = match attached.hook {
        Hook::Tc => "tc",
        Hook::XdpNative => "xdp-native",
        Hook::XdpGeneric => "xdp-generic",
    };
    hooked(&attached.interface.name, attached.interface.index, hook, &attached.why)
}

fn hooked(name: &str, index: u32, hook: &str, why: &str) -> InterfaceStatus {
    InterfaceStatus { name: name.to_owned(), index, hook: hook.to_owned(), why: why.to_owned() }
}

fn maps(
    snapshot: &Snapshot,
    names: &BTreeMap<u16, String>,
    fill: super::datapath::Fill,
) -> Vec<MapStatus> {
    let bounded = |name: &str, entries: usize, capacity: usize| MapStatus {
        name: name.to_owned(),
        entries: entries as u64,
        capacity: capacity as u64,
    };
    let map = |name: &str, entries, capacity: u32| bounded(name, entries, capacity as usize);
    let udp = snapshot.flows.iter().filter(|(key, _)| is_udp(key)).count();
    vec![
        map("flows", snapshot.flows.len() - udp, fill.most_flows),
        map("udp_flows", udp, fill.most_flows),
        bounded("policy_classes", fill.policy.classes, MAX_CLASSES),
        bounded("policy_bytes", fill.policy.bytes, MAX_BYTES),
        map("listeners", fill.listeners, MAX_LISTENERS),
        map("half_open", fill.half_open, MAX_HALF_OPEN),
        map("services", names.len(), MAX_SERVICES),
    ]
}
