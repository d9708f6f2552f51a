//! Which metrics there are.

use std::collections::BTreeMap;

use super::sheet::Sheet;
use crate::{
    api::model::{
        CertificateStatus, GeoipStatus, InterfaceStatus, MapStatus, RequestStatus, ServiceStatus,
        SinkStatus, Status, TargetStatus, WriterStatus,
    },
    record::Timestamp,
};

/// Every metric of a daemon in that state.
pub(super) fn sheet(status: &Status, ready: bool) -> Sheet {
    let mut sheet = Sheet::new();
    daemon(&mut sheet, status, ready);
    interfaces(&mut sheet, &status.interfaces);
    services(&mut sheet, &status.services);
    requests(&mut sheet, &status.requests);
    targets(&mut sheet, &status.services);
    certificates(&mut sheet, &status.certificates);
    maps(&mut sheet, &status.maps);
    writer(&mut sheet, &status.writer);
    sinks(&mut sheet, &status.sinks);
    if let Some(geoip) = &status.geoip {
        database(&mut sheet, geoip);
    }
    let outcomes =
        status.outcomes.iter().map(|(name, count)| ([("outcome", name.clone())], *count));
    sheet.counters("packets", "Packets by what the kernel did with them", outcomes);
    let losses = status.losses.iter().map(|loss| ([("kind", loss.name.clone())], loss.count));
    sheet.counters("losses", "What could hide a loss, by kind", losses);
    sheet
}

fn daemon(sheet: &mut Sheet, status: &Status, ready: bool) {
    sheet.gauges("build_info", "The daemon", [([("version", status.version.clone())], 1)]);
    sheet.gauge("ready", "Whether services are up and their policy is in force", ready.into());
    sheet.gauge("start_time_seconds", "When the daemon started", seconds(status.started_at));
    sheet.gauge("policy_generation", "The policy in force in the kernel", status.generation);
    sheet.gauge("warnings", "Warnings in the status", status.warnings.len() as u64);
}

fn interfaces(sheet: &mut Sheet, interfaces: &[InterfaceStatus]) {
    let hooks = interfaces.iter().map(|interface| {
        ([("interface", interface.name.clone()), ("hook", interface.hook.clone())], 1)
    });
    sheet.gauges("interface_info", "Interfaces and the hook in use", hooks);
    let watched = interfaces.iter().map(|interface| {
        ([("interface", interface.name.clone())], u64::from(interface.hook != "none"))
    });
    sheet.gauges("interface_watched", "Whether verdicts run where they should", watched);
}

fn services(sheet: &mut Sheet, services: &[ServiceStatus]) {
    let by_name = |value: fn(&ServiceStatus) -> u64| {
        services.iter().map(move |service| (name(service), value(service)))
    };
    sheet.gauges("service_connections_open", "Connections open now", by_name(|s| s.open));
    sheet.counters("service_accepted", "Connections accepted", by_name(|s| s.accepted));
    let denied = services.iter().flat_map(|service| {
        service.denied.iter().map(|(reason, count)| {
            ([("service", service.name.clone()), ("reason", reason.clone())], *count)
        })
    });
    sheet.counters("service_denied", "Denied attempts", denied);
}

fn requests(sheet: &mut Sheet, requests: &BTreeMap<String, RequestStatus>) {
    let by_verdict = requests.iter().flat_map(|(service, requests)| {
        let RequestStatus { allowed, denied, error } = *requests;
        [("allowed", allowed), ("denied", denied), ("error", error)].map(|(verdict, count)| {
            ([("service", service.clone()), ("verdict", verdict.to_owned())], count)
        })
    });
    sheet.counters("service_requests", "Requests of HTTP", by_verdict);
}

fn name(service: &ServiceStatus) -> [(&'static str, String); 2] {
    [("service", service.name.clone()), ("plane", service.plane.as_str().to_owned())]
}

fn targets(sheet: &mut Sheet, services: &[ServiceStatus]) {
    let each = |value: fn(&TargetStatus) -> u64| {
        services.iter().flat_map(move |service| {
            service.targets.iter().map(move |target| {
                let labels = [("service", service.name.clone()), ("target", target.target.clone())];
                (labels, value(target))
            })
        })
    };
    sheet.gauges("target_up", "Whether a target works", each(|target| target.up.into()));
    sheet.gauges("target_sessions", "Connections that it has now", each(|t| t.sessions));
}

fn certificates(sheet: &mut Sheet, certificates: &[CertificateStatus]) {
    let by_domain = |value: fn(&CertificateStatus) -> Option<u64>| {
        certificates.iter().filter_map(move |certificate| {
            Some(([("domain", certificate.domain.clone())], value(certificate)?))
        })
    };
    let expiry = by_domain(|certificate| Some(seconds(certificate.not_after?)));
    sheet.gauges("certificate_expiry_timestamp_seconds", "When a certificate ends", expiry);
    let problem = by_domain(|certificate| Some(certificate.problem.is_some().into()));
    sheet.gauges("certificate_problem", "Whether the status says what is wrong with it", problem);
}

fn maps(sheet: &mut Sheet, maps: &[MapStatus]) {
    let by_name = |value: fn(&MapStatus) -> u64| {
        maps.iter().map(move |map| ([("map", map.name.clone())], value(map)))
    };
    sheet.gauges("map_entries", "Entries in a kernel map", by_name(|map| map.entries));
    sheet.gauges("map_capacity", "Entries that it can hold", by_name(|map| map.capacity));
}

fn writer(sheet: &mut Sheet, writer: &WriterStatus) {
    sheet.gauge("writer_queued", "Records that wait to be committed", writer.queued);
    sheet.gauge("writer_lag_milliseconds", "Age of the oldest of them", writer.lag_ms);
    sheet.counter("writer_committed", "Records committed", writer.committed);
    sheet.counter("writer_dropped", "Records dropped", writer.dropped);
    sheet.gauge("writer_failing", "Whether the last commit failed", writer.failing.into());
}

fn sinks(sheet: &mut Sheet, sinks: &[SinkStatus]) {
    let by_path = |value: fn(&SinkStatus) -> Option<u64>| {
        let sample = move |sink: &SinkStatus| Some(([("sink", sink.path.clone())], value(sink)?));
        sinks.iter().filter_map(sample)
    };
    sheet.gauges("sink_behind", "Records not copied yet, up to 100,000", by_path(|s| s.behind));
    let failing = by_path(|s| Some(s.failing_since.is_some().into()));
    sheet.gauges("sink_failing", "Whether it cannot be written", failing);
}

fn database(sheet: &mut Sheet, geoip: &GeoipStatus) {
    sheet.gauge("geoip_loaded", "Whether a country database is in use", geoip.loaded.into());
    sheet.gauge("geoip_stale", "Whether it is older than it may be", geoip.stale.into());
    if let Some(built_at) = geoip.built_at {
        sheet.gauge("geoip_build_time_seconds", "When it was built", seconds(built_at));
    }
}

fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.0 / 1000).unwrap_or(0)
}
