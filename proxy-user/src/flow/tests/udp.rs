//! What records say of UDP flows, row by row.

use proxy_common::{reason::Reason, verdict::Judgement};

use super::world::{LIMIT, UDP_GUARD, UDP_RELAY, World, key, service};
use crate::{
    flow::ServiceInfo,
    record::{CloseReason, Origin, Protocol, Source, Verdict},
};

/// Longer than the services' `idle_timeout`.
const LONG: u64 = 31_000;

#[test]
fn a_silent_guarded_flow_is_recorded_as_of_its_last_datagram() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_GUARD);
    let began = world.now().wall;
    world.datagram(flow, UDP_GUARD, 10, true);
    world.tick(20_000);
    world.answer(flow, 7);
    world.tick(20_000);
    world.sweep();
    assert!(world.drafts().is_empty(), "its answer was a byte, and its idle time begins anew");
    world.tick(LONG - 20_000);
    world.sweep();
    let drafts = world.drafts();
    assert_eq!(drafts.len(), 1);
    let draft = drafts[0];
    assert_eq!((draft.protocol, draft.verdict), (Protocol::Udp, Verdict::Allowed));
    assert_eq!((draft.bytes_upload, draft.bytes_download), (10, 7));
    assert_eq!((draft.packets_upload, draft.packets_download), (1, 1));
    assert_eq!(draft.close_reason, Some(CloseReason::IdleTimeout));
    assert_eq!(draft.started_at, began);
    assert_eq!((draft.timestamp.0 - began.0, draft.duration_ms), (20_000, 20_000));
    assert!(world.resets.is_empty(), "there is no connection to reset");
    world.commit();
    assert!(world.table.is_empty() && world.table.parked.is_empty());
}

#[test]
fn datagrams_without_payload_keep_no_flow_that_had_any() {
    let mut world = World::new();
    let (empty, talkative) = (key(1, 5000, UDP_GUARD), key(2, 5000, UDP_GUARD));
    world.datagram(talkative, UDP_GUARD, 1, true);
    for _ in 0..7 {
        world.datagram(empty, UDP_GUARD, 0, true);
        world.datagram(talkative, UDP_GUARD, 0, true);
        world.tick(5_000);
        world.sweep();
    }
    let drafts = world.drafts();
    assert_eq!(drafts.len(), 1);
    assert_eq!(drafts[0].source, Source::Address([198, 51, 100, 2].into()));
    world.tick(LONG);
    world.sweep();
    let drafts = world.drafts();
    assert_eq!((drafts.len(), drafts[1].packets_upload), (2, 7));
}

#[test]
fn a_cut_flow_is_recorded_at_once() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_GUARD);
    world.datagram(flow, UDP_GUARD, 10, true);
    world.cut(flow, false);
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::PolicyChanged));
    assert!(world.table.is_empty(), "its next datagram is a denied attempt");
}

#[test]
fn a_cut_flow_whose_event_was_lost_is_found() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_GUARD);
    world.datagram(flow, UDP_GUARD, 10, true);
    world.cut(flow, true);
    world.sweep();
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::PolicyChanged));
}

#[test]
fn a_new_policy_ends_the_flows_that_it_denies_at_once() {
    let mut world = World::new();
    for client in [1, 2] {
        world.datagram(key(client, 5000, UDP_GUARD), UDP_GUARD, 10, true);
    }
    let judge = |_: &str, client| Judgement {
        denied: (client == std::net::IpAddr::from([198, 51, 100, 1]))
            .then_some(Reason::IpRestricted),
        ..Judgement::default()
    };
    let now = world.now();
    world.tracker.rejudge(&mut world.table, judge, &now);
    world.act();
    assert_eq!(world.drafts().len(), 1);
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::PolicyChanged));
    assert!(world.resets.is_empty());
    assert!(world.table.contains_key(&key(2, 5000, UDP_GUARD)));
}

#[test]
fn flows_of_a_removed_service_and_of_a_stopped_daemon_say_so() {
    let mut world = World::new();
    world.datagram(key(1, 5000, UDP_GUARD), UDP_GUARD, 10, true);
    world.tracker.set_services(vec![(UDP_RELAY, ServiceInfo::from(&service(UDP_RELAY)))]);
    world.sweep();
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::ServiceRemoved));

    let mut world = World::new();
    world.datagram(key(1, 5000, UDP_GUARD), UDP_GUARD, 10, true);
    world.finish();
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::Shutdown));
}

#[test]
fn a_session_is_recorded_when_the_relay_ends_it() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_RELAY);
    world.datagram(flow, UDP_RELAY, 10, true);
    world.serve(false);
    world.answer(flow, 20);
    world.end_session(flow);
    world.hear();
    let drafts = world.drafts();
    assert_eq!(drafts.len(), 1);
    assert_eq!((drafts[0].bytes_upload, drafts[0].bytes_download), (10, 20));
    assert_eq!(drafts[0].target, "192.0.2.9:1");
    assert!(world.table.is_empty(), "the next datagram begins a flow");
}

/// The datagram comes after the relay's end of the session, and before the tracker's of
/// the flow.
#[test]
fn a_datagram_between_two_sessions_is_counted_once() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_RELAY);
    world.datagram(flow, UDP_RELAY, 10, true);
    world.serve(false);
    world.tick(100);
    world.end_session(flow);
    world.milliseconds += 1;
    world.datagram(flow, UDP_RELAY, 5, true);
    world.hear();
    world.milliseconds += 1;
    world.serve(false);
    world.milliseconds += 1;
    world.end_session(flow);
    world.hear();
    let uploaded: Vec<_> = world.drafts().iter().map(|draft| draft.bytes_upload).collect();
    assert_eq!(uploaded, [15, 0]);
    assert_eq!(world.tracker.stats().without_flow, 0);
}

#[test]
fn a_session_that_the_kernel_missed_has_the_relays_bytes() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_RELAY);
    world.datagram(flow, UDP_RELAY, 10, true);
    world.serve(false);
    world.table.clear();
    world.end_session(flow);
    world.hear();
    let drafts = world.drafts();
    assert_eq!((drafts[0].bytes_upload, &*drafts[0].metadata["counted"]), (10, "relay"));
    assert_eq!(world.tracker.stats().without_flow, 1);
}

#[test]
fn refused_clients_are_told_one_by_one_up_to_the_limit_and_then_by_prefix() {
    let mut world = World::new();
    for client in 0..100 {
        world.datagram(key(client, 5000, UDP_RELAY), UDP_RELAY, 10, true);
    }
    world.serve(true);
    world.hear();
    assert_eq!(world.drafts().len(), LIMIT as usize);
    world.tick(1000);
    let drafts = world.drafts();
    assert_eq!(drafts.len(), LIMIT as usize + 1);
    for draft in &drafts {
        assert_eq!(draft.verdict, Verdict::Error);
        assert_eq!(draft.reason, Some(Reason::ConnectionLimit));
        assert_eq!((draft.bytes_upload, &*draft.service_id), (0, "udp-relay"));
    }
    assert_eq!(drafts[LIMIT as usize].metadata["suppressed"], "96");
    assert_eq!(drafts[LIMIT as usize].metadata["source_prefix"], "198.51.100.0/24");
    world.commit();
    assert!(world.table.is_empty() && world.table.parked.is_empty());
}

/// Its relay tells of an attempt once; of what its client sends meanwhile there is a flow.
#[test]
fn a_refused_client_that_sends_on_is_told_once() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_RELAY);
    world.datagram(flow, UDP_RELAY, 10, true);
    world.serve(true);
    world.hear();
    for _ in 0..60 {
        world.datagram(flow, UDP_RELAY, 10, false);
        world.tick(5_000);
        world.sweep();
    }
    world.tick(LONG);
    world.sweep();
    world.commit();
    assert_eq!(world.drafts().len(), 1);
    assert!(world.table.is_empty() && world.table.parked.is_empty());
}

#[test]
fn attempts_that_the_relay_only_counted_are_one_record_and_their_flows_none() {
    let mut world = World::new();
    for client in 0..10 {
        world.datagram(key(client, 5000, UDP_RELAY), UDP_RELAY, 10, false);
    }
    let now = world.now();
    let relay = service(UDP_RELAY);
    world.tracker.refused(&relay, Reason::ConnectionLimit, 8, &now);
    world.tick(1000);
    let drafts = world.drafts();
    assert_eq!((drafts.len(), drafts[0].source), (1, Source::Many));
    assert_eq!(drafts[0].reason, Some(Reason::ConnectionLimit));
    assert_eq!((drafts[0].verdict, drafts[0].protocol), (Verdict::Error, Protocol::Udp));
    assert_eq!(drafts[0].metadata["suppressed"], "7");
    assert_eq!(drafts[0].listen_port, 1000 + UDP_RELAY);
    world.tick(LONG);
    world.sweep();
    world.commit();
    assert_eq!(world.drafts().len(), 3, "two that nobody told of");
    assert!(world.table.is_empty() && world.table.parked.is_empty());
}

#[test]
fn datagrams_that_the_relay_never_read_are_an_error_without_bytes() {
    let mut world = World::new();
    world.datagram(key(1, 5000, UDP_RELAY), UDP_RELAY, 10, false);
    world.tick(LONG);
    world.sweep();
    let drafts = world.drafts();
    assert_eq!((drafts.len(), drafts[0].bytes_upload), (1, 0));
    assert_eq!(drafts[0].verdict, Verdict::Error);
    assert_eq!(drafts[0].reason, Some(Reason::ConnectionLimit));
    assert_eq!(drafts[0].close_reason, Some(CloseReason::Interrupted));
}

#[test]
fn a_crash_interrupts_sessions_and_leaves_guarded_flows_alone() {
    let mut world = World::new();
    let (guarded, relayed) = (key(1, 5000, UDP_GUARD), key(2, 5000, UDP_RELAY));
    world.datagram(guarded, UDP_GUARD, 10, true);
    world.datagram(relayed, UDP_RELAY, 20, true);
    world.serve(false);
    world.hear();
    world.crash();
    let drafts = world.drafts();
    assert_eq!((drafts.len(), drafts[0].bytes_upload), (1, 20));
    assert_eq!(drafts[0].close_reason, Some(CloseReason::Interrupted));
    assert!(!world.table.contains_key(&relayed), "its next datagram begins a flow");
    assert!(world.table.contains_key(&guarded));
}

#[test]
fn a_flow_that_was_taken_before_a_crash_is_recorded_after_it() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_GUARD);
    world.datagram(flow, UDP_GUARD, 10, true);
    world.tick(LONG);
    world.sweep();
    world.crash();
    let drafts = world.drafts();
    assert_eq!((drafts.len(), drafts[0].bytes_upload), (1, 10));
    assert_eq!(drafts[0].close_reason, Some(CloseReason::IdleTimeout));
    world.commit();
    assert!(world.table.parked.is_empty());
}

#[test]
fn a_denied_session_stands_for_its_flow() {
    use crate::flow::{Ended, Outcome};
    let mut world = World::new();
    let flow = key(1, 5000, UDP_RELAY);
    world.datagram(flow, UDP_RELAY, 10, true);
    let now = world.now();
    let report = Ended {
        flow,
        service: Some(std::sync::Arc::new(service(UDP_RELAY))),
        introduction: None,
        started: now.instant,
        ended: now.instant,
        outcome: Outcome::Denied(Reason::IpRestricted),
    };
    world.tracker.ended(report, &mut world.table, &now);
    world.act();
    world.commit();
    let entry = &world.written[0];
    assert_eq!(entry.draft.verdict, Verdict::Denied);
    assert_eq!(entry.draft.metadata["hook"], "relay");
    assert!(matches!(entry.origin, Origin::Flow(_)), "{entry:?}");
    assert!(world.table.is_empty() && world.table.parked.is_empty());
    assert_eq!(world.written[0].draft.packets_upload, 1);
}
