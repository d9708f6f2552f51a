//! Drafts of records out of what is known of a flow or an attempt.

use std::{collections::BTreeMap, net::SocketAddr};

use proxy_common::{
    address::{Address, Family, FlowKey, PROTOCOL_UDP},
    event::Hook,
    flow::FlowState,
    reason::Reason,
};
use smol_str::{SmolStr, ToSmolStr};

use super::{
    Ended, Failure, Fate, Introduction, Now, Outcome, ServiceInfo,
    limiter::{Aggregate, Attempt, Judge},
};
use crate::record::{CloseReason, Draft, Location, Protocol, Source, Timestamp, Verdict};

/// What a record tells of its service.
#[derive(Clone, Copy)]
struct Named<'a> {
    name: &'a str,
    host: &'a str,
    protocol: Protocol,
}

impl<'a> Named<'a> {
    /// The service of a flow or an attempt there.
    fn at(service: &'a ServiceInfo, key: &FlowKey) -> Self {
        let protocol = service.protocol_of(key);
        Self { name: &service.name, host: &service.host, protocol }
    }

    /// The service of a report. Where none was chosen, it was looked for by the name that
    /// the client asked for; `unled` is what its listener speaks.
    fn of(report: &'a Ended, unled: Protocol) -> Self {
        let asked = report.introduction.as_ref().and_then(|told| told.server_name.as_deref());
        let (name, host, spoken) = match &report.service {
            Some(service) => (&*service.name, service.host(), service.mode.protocol()),
            None => ("", asked.unwrap_or(""), unled),
        };
        let failed = match &report.outcome {
            Outcome::Unserved(failure) => failure.protocol,
            _ => None,
        };
        Self { name, host, protocol: failed.unwrap_or(spoken) }
    }
}

/// A draft with what every record has; the rest is empty.
fn blank(key: &FlowKey, service: Named<'_>, (started, ended): (u64, u64), now: &Now) -> Draft {
    Draft {
        service_id: service.name.into(),
        timestamp: now.wall_at(ended),
        started_at: now.wall_at(started),
        duration_ms: ended.saturating_sub(started) / 1_000_000,
        // Of a service that is gone only the name is known.
        protocol: match u8::try_from(key.protocol) {
            Ok(PROTOCOL_UDP) => Protocol::Udp,
            _ => service.protocol,
        },
        verdict: Verdict::Allowed,
        host: service.host.into(),
        listen_port: key.service_port,
        bytes_upload: 0,
        bytes_download: 0,
        packets_upload: 0,
        packets_download: 0,
        source: Source::Address(key.client.into()),
        source_port: key.client_port,
        location: Location::default(),
        reason: None,
        observed_reason: None,
        close_reason: None,
        target: SmolStr::default(),
        tls_version: None,
        http: None,
        metadata: BTreeMap::new(),
    }
}

fn note(draft: &mut Draft, name: &str, value: impl Into<String>) {
    draft.metadata.insert(name.to_owned(), value.into());
}

/// A single denied or refused attempt.
pub(super) fn denied(
    attempt: &Attempt,
    service: &ServiceInfo,
    interface: Option<&str>,
    now: &Now,
) -> Draft {
    if let Judge::Request(request) = &attempt.judge {
        return Draft::clone(request);
    }
    let (key, time) = (&attempt.key, attempt.time);
    let mut draft = blank(key, Named::at(service, key), (time, time), now);
    draft.verdict = Verdict::of(attempt.reason);
    draft.reason = Some(attempt.reason);
    note(&mut draft, "hook", hook(&attempt.judge));
    if let Some(interface) = interface {
        note(&mut draft, "interface", interface);
    }
    draft
}

fn hook(judge: &Judge) -> &'static str {
    match judge {
        Judge::Kernel { hook, .. } if *hook == Hook::Xdp as u8 => "xdp",
        Judge::Kernel { .. } => "tc",
        Judge::Relay(_) | Judge::Request(_) => "relay",
    }
}

/// Denied or refused attempts that share a record.
pub(super) fn aggregate(
    aggregate: &Aggregate,
    service: &ServiceInfo,
    interface: Option<&str>,
    now: &Now,
) -> Draft {
    let mut draft = match &aggregate.first {
        Some(first) => denied(first, service, interface, now),
        None => nobodys(service, aggregate, now),
    };
    draft.timestamp = now.wall_at(aggregate.last_time);
    draft.duration_ms += aggregate.last_time.saturating_sub(aggregate.first_time) / 1_000_000;
    note(&mut draft, "suppressed", aggregate.attempts.saturating_sub(1).to_string());
    if let Some(prefix) = &aggregate.prefix {
        note(&mut draft, "source_prefix", prefix.to_string());
    } else {
        (draft.source, draft.source_port) = (Source::Many, 0);
    }
    for why in &aggregate.unseen {
        note(&mut draft, why, "true");
    }
    draft
}

/// Attempts of which only numbers tell.
fn nobodys(service: &ServiceInfo, aggregate: &Aggregate, now: &Now) -> Draft {
    let nobody = Address::unspecified(Family::V6);
    let key = FlowKey {
        client: nobody,
        service: nobody,
        client_port: 0,
        service_port: service.listen.first().map_or(0, |listen| listen.port),
        protocol: service.mode.transport().into(),
    };
    let first = (aggregate.first_time, aggregate.first_time);
    let mut draft = blank(&key, Named::at(service, &key), first, now);
    draft.verdict = Verdict::of(aggregate.reason);
    draft.reason = Some(aggregate.reason);
    draft
}

/// A flow as the kernel counted it.
pub(super) fn flow(
    key: &FlowKey,
    state: &FlowState,
    service: &ServiceInfo,
    close_reason: CloseReason,
    now: &Now,
) -> Draft {
    let ended = match close_reason {
        // The kernel saw no end: it is now.
        CloseReason::Shutdown | CloseReason::ServiceRemoved => now.monotonic,
        _ => state.last_packet,
    };
    let (started, service) = (state.started, Named::at(service, key));
    let mut draft = blank(key, service, (started, ended.max(started)), now);
    counted(&mut draft, state);
    draft.close_reason = Some(close_reason);
    draft.observed_reason = state.observed();
    if !state.has(FlowState::RELAYED) {
        draft.target = SocketAddr::new(key.service.into(), key.service_port).to_smolstr();
    }
    if state.has(FlowState::COUNTRY_EXEMPT) {
        note(&mut draft, "country_exempt", "true");
    }
    draft
}

/// What the kernel plane forwarded, and to whom.
pub(super) fn forwarded(draft: &mut Draft, target: Option<SocketAddr>) {
    draft.target = target.map(|target| target.to_smolstr()).unwrap_or_default();
    note(draft, "plane", "kernel");
}

/// A client of the kernel plane's whom no target answered.
pub(super) fn unanswered(
    key: &FlowKey,
    state: &FlowState,
    service: &ServiceInfo,
    error: &str,
    now: &Now,
) -> Draft {
    let times = (state.started, now.monotonic.max(state.started));
    let mut draft = blank(key, Named::at(service, key), times, now);
    draft.verdict = Verdict::Error;
    draft.reason = Some(Reason::BackendUnreachable);
    draft.packets_upload = state.up.packets;
    draft.observed_reason = state.observed();
    if state.has(FlowState::COUNTRY_EXEMPT) {
        note(&mut draft, "country_exempt", "true");
    }
    note(&mut draft, "error", error);
    draft
}

/// A flow that the relay never served.
pub(super) fn unserved(
    key: &FlowKey,
    state: &FlowState,
    service: &ServiceInfo,
    (reason, close_reason): (Reason, CloseReason),
    now: &Now,
) -> Draft {
    let mut draft = flow(key, state, service, close_reason, now);
    draft.verdict = Verdict::Error;
    draft.reason = Some(reason);
    nothing_served(&mut draft);
    draft
}

/// Takes the kernel's bytes and packets over.
fn counted(draft: &mut Draft, state: &FlowState) {
    draft.bytes_upload = state.up.payload();
    draft.bytes_download = state.down.payload();
    draft.packets_upload = state.up.packets;
    draft.packets_download = state.down.packets;
    if state.has(FlowState::PARTIAL) {
        note(draft, "partial", "true");
    }
}

/// A connection of the relay's, with the kernel's count of it where there is one.
/// `unled`: what its listener speaks, where it was led to no service.
pub(super) fn session(
    report: &Ended,
    state: Option<&FlowState>,
    unled: Protocol,
    now: &Now,
) -> Draft {
    let ended = now.monotonic_at(report.ended);
    let began = now.monotonic_at(report.started);
    let started = state.map_or(began, |state| state.started.min(began));
    let mut draft =
        blank(&report.flow, Named::of(report, unled), (started, ended.max(started)), now);
    // The writer's clock may tick between the two; the record's own end is now.
    draft.timestamp = Timestamp(draft.timestamp.0.max(draft.started_at.0));
    if let Some(state) = state {
        counted(&mut draft, state);
    }
    if let Some(introduction) = &report.introduction {
        introduced(&mut draft, introduction);
    }
    outcome(&mut draft, report, state);
    draft
}

/// Takes over what the client told of itself, or a proxy of it.
fn introduced(draft: &mut Draft, introduction: &Introduction) {
    draft.bytes_upload = draft.bytes_upload.saturating_sub(introduction.header.into());
    draft.tls_version = introduction.tls_version;
    if let Some(name) = &introduction.server_name {
        note(draft, "sni", name);
    }
    if let (Some(client), Source::Address(peer)) = (introduction.client, draft.source) {
        note(draft, "proxy", SocketAddr::new(peer, draft.source_port).to_string());
        draft.source = Source::Address(client.ip().to_canonical());
        draft.source_port = client.port();
    }
}

fn outcome(draft: &mut Draft, report: &Ended, state: Option<&FlowState>) {
    let fail = |draft: &mut Draft, reason| {
        draft.verdict = Verdict::Error;
        draft.reason = Some(reason);
        nothing_served(draft);
    };
    match &report.outcome {
        Outcome::Unserved(Failure { reason, protocol: _, error, close_reason }) => {
            fail(draft, *reason);
            draft.close_reason = *close_reason;
            if !error.is_empty() {
                note(draft, "error", error);
            }
        }
        // It makes no record.
        Outcome::Recorded => {}
        Outcome::Denied(reason) => {
            draft.verdict = Verdict::Denied;
            draft.reason = Some(*reason);
            nothing_served(draft);
            note(draft, "hook", "relay");
        }
        Outcome::Refused => {
            fail(draft, Reason::ConnectionLimit);
            note(draft, "error", "the store cannot write, and log.on_store_failure is \"refuse\"");
        }
        Outcome::Admitted { admission, fate } => {
            draft.observed_reason = admission.observed;
            if admission.country_exempt {
                note(draft, "country_exempt", "true");
            }
            match fate {
                Fate::ConnectionLimit => fail(draft, Reason::ConnectionLimit),
                Fate::BackendUnreachable { target, error } => {
                    fail(draft, Reason::BackendUnreachable);
                    draft.target = target.into();
                    note(draft, "error", error);
                }
                Fate::BackendTimeout { target } => {
                    fail(draft, Reason::BackendTimeout);
                    draft.target = target.into();
                }
                Fate::Abandoned { target, close_reason } => {
                    abandoned(draft, *close_reason);
                    draft.target = target.into();
                }
                Fate::Served { target, bytes, datagrams, close_reason } => {
                    draft.close_reason = Some(*close_reason);
                    draft.target = target.to_smolstr();
                    if state.is_none_or(|state| knows_less(state, *close_reason)) {
                        draft.bytes_upload = bytes.up;
                        draft.bytes_download = bytes.down;
                        if draft.protocol == Protocol::Udp {
                            draft.packets_upload = datagrams.up;
                            draft.packets_download = datagrams.down;
                        }
                        draft.metadata.remove("partial");
                        note(draft, "counted", "relay");
                    }
                    if datagrams.undelivered > 0 {
                        note(draft, "undelivered", datagrams.undelivered.to_string());
                    }
                }
            }
        }
    }
}

/// Whether the relay counted what the kernel did not: it met the flow midway, or took
/// for its end a reset that the host did not take.
fn knows_less(state: &FlowState, close_reason: CloseReason) -> bool {
    state.has(FlowState::PARTIAL)
        || state.has(FlowState::CLIENT_RESET) && close_reason != CloseReason::ClientReset
}

fn abandoned(draft: &mut Draft, close_reason: CloseReason) {
    nothing_served(draft);
    draft.close_reason = Some(close_reason);
    if matches!(close_reason, CloseReason::ClientClosed | CloseReason::ClientReset) {
        draft.verdict = Verdict::Error;
        draft.reason = Some(Reason::ClientAborted);
    }
}

/// What a client sent to nobody is no upload (SPEC 4).
fn nothing_served(draft: &mut Draft) {
    draft.bytes_upload = 0;
    draft.bytes_download = 0;
    draft.metadata.remove("partial");
}
