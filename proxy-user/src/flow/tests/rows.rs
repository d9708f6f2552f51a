//! What records say, row by row.

use std::time::Duration;

use super::world::{GUARD, LIMIT, RELAY, World, key, service};
use crate::{
    flow::{Failure, Introduction, Outcome, ServiceInfo},
    record::{CloseReason, Protocol, Source, TlsVersion, Verdict},
};
use proxy_common::{flow::FlowState, reason::Reason, verdict::Judgement};

#[test]
fn a_denied_attempt_is_one_record_at_once() {
    let mut world = World::new();
    world.deny(7, 0, false);
    world.tick(20);
    let drafts = world.drafts();
    assert_eq!(drafts.len(), 1);
    assert_eq!(drafts[0].verdict, Verdict::Denied);
    assert_eq!(drafts[0].reason, Some(Reason::IpRestricted));
    assert_eq!(drafts[0].service_id, "guard");
    assert_eq!(drafts[0].metadata["hook"], "tc");
}

#[test]
fn attempts_beyond_the_limit_are_told_by_prefix() {
    let mut world = World::new();
    for client in 0..100 {
        world.deny(client, 0, false);
    }
    world.tick(20);
    assert_eq!(world.drafts().len(), LIMIT as usize);
    world.tick(1000);
    let drafts = world.drafts();
    assert_eq!(drafts.len(), LIMIT as usize + 1);
    let aggregate = drafts[LIMIT as usize];
    assert_eq!(aggregate.metadata["suppressed"], "96");
    assert_eq!(aggregate.metadata["source_prefix"], "198.51.100.0/24");
}

#[test]
fn lost_events_become_an_aggregate_of_many() {
    let mut world = World::new();
    for _ in 0..5 {
        world.deny(1, 0, true);
    }
    for cpu in [0, 1] {
        world.deny(1, cpu, true);
    }
    world.tick(20);
    world.tick(20);
    world.tick(1000);
    let drafts = world.drafts();
    assert_eq!(drafts.len(), 1, "one for all that a second lost");
    assert_eq!(drafts[0].source, Source::Many);
    assert_eq!(drafts[0].metadata["suppressed"], "6");
    assert_eq!(drafts[0].metadata["events_lost"], "true");
}

#[test]
fn a_relayed_flow_takes_the_kernels_bytes_and_the_relays_reason() {
    let mut world = World::new();
    let flow = key(1, 5000, RELAY);
    world.open(flow, RELAY, false);
    world.table.get_mut(&flow).unwrap().up.acked = 11;
    world.report(flow);
    assert!(world.drafts().is_empty(), "the last packets are awaited");
    world.end(flow, false);
    world.tick(20);
    let drafts = world.drafts();
    assert_eq!(drafts.len(), 1);
    assert_eq!((drafts[0].bytes_upload, drafts[0].bytes_download), (11, 0));
    assert_eq!(drafts[0].close_reason, Some(CloseReason::TargetClosed));
    assert_eq!(drafts[0].target, "192.0.2.9:80");
}

/// A client behind a proxy, who asked for a name.
fn introduction() -> Introduction {
    Introduction {
        client: Some("[::ffff:203.0.113.9]:4711".parse().unwrap()),
        header: 28,
        server_name: Some("wiki.example.com".into()),
        tls_version: Some(TlsVersion::Tls13),
    }
}

#[test]
fn a_proxy_header_names_the_client_and_is_no_upload() {
    let mut world = World::new();
    let flow = key(1, 5000, RELAY);
    world.open(flow, RELAY, false);
    world.table.get_mut(&flow).unwrap().up.acked = 28 + 517;
    world.report_as(flow, |report| report.introduction = Some(Box::new(introduction())));
    world.end(flow, false);
    world.tick(20);
    let draft = world.drafts()[0];
    assert_eq!(draft.bytes_upload, 517);
    assert_eq!(draft.source, Source::Address([203, 0, 113, 9].into()));
    assert_eq!(draft.source_port, 4711);
    assert_eq!(draft.metadata["proxy"], "198.51.100.1:5000");
    assert_eq!(draft.metadata["sni"], "wiki.example.com");
    assert_eq!(draft.tls_version, Some(TlsVersion::Tls13));
}

#[test]
fn a_connection_that_no_service_was_chosen_for_is_an_error_of_none() {
    let mut world = World::new();
    let flow = key(1, 5000, RELAY);
    world.open(flow, RELAY, false);
    world.report_as(flow, |report| {
        report.service = None;
        report.introduction = Some(Box::new(introduction()));
        report.outcome = Outcome::Unserved(Failure {
            reason: Reason::UnknownHost,
            protocol: None,
            error: "why".into(),
            close_reason: Some(CloseReason::Shutdown),
        });
    });
    world.end(flow, false);
    world.tick(20);
    let draft = world.drafts()[0];
    assert_eq!((draft.verdict, draft.reason), (Verdict::Error, Some(Reason::UnknownHost)));
    assert_eq!((draft.service_id.as_str(), draft.protocol), ("", Protocol::Tls));
    assert_eq!(draft.host, "wiki.example.com");
    assert_eq!((draft.bytes_upload, draft.bytes_download), (0, 0));
    assert_eq!(draft.close_reason, Some(CloseReason::Shutdown));
    assert_eq!(draft.metadata["error"], "why");
}

/// The relay's socket takes what the client is slow to read.
#[test]
fn bytes_on_their_way_after_the_relays_close_are_counted() {
    let mut world = World::new();
    let flow = key(1, 5000, RELAY);
    world.open(flow, RELAY, false);
    world.report(flow);
    for acked in 1..=5 {
        world.tick(60_000);
        let now = world.now().monotonic;
        let state = world.table.get_mut(&flow).unwrap();
        (state.down.acked, state.last_packet) = (acked, now);
        assert!(world.drafts().is_empty(), "{acked}");
    }
    world.end(flow, false);
    world.tick(20);
    let drafts = world.drafts();
    assert_eq!(drafts.len(), 1);
    assert_eq!(drafts[0].bytes_download, 5);
}

#[test]
fn a_reset_that_the_relay_never_saw_ends_no_count() {
    let mut world = World::new();
    let flow = key(1, 5000, RELAY);
    world.open(flow, RELAY, false);
    world.table.get_mut(&flow).unwrap().flags |= FlowState::CLIENT_RESET;
    world.end(flow, false);
    world.report(flow);
    let drafts = world.drafts();
    assert_eq!((drafts[0].bytes_upload, drafts[0].bytes_download), (1, 2));
}

#[test]
fn a_connection_that_nobody_accepted_is_an_error_without_bytes() {
    let flow = key(1, 5000, RELAY);
    let mut accepted = World::new();
    accepted.open(flow, RELAY, false);
    let mut world = World::new();
    let mut state = accepted.table[&flow];
    state.up.acked = 9;
    world.table.insert(flow, state);
    world.end(flow, false);
    world.tick(20);
    assert!(world.drafts().is_empty(), "it may stand in the listener's queue");
    world.tick(31_000);
    let drafts = world.drafts();
    assert_eq!(
        (drafts[0].verdict, drafts[0].reason),
        (Verdict::Error, Some(Reason::ClientAborted))
    );
    assert_eq!((drafts.len(), drafts[0].bytes_upload), (1, 0));
}

#[test]
fn a_relayed_connection_that_the_kernel_missed_has_the_relays_bytes() {
    let mut world = World::new();
    let flow = key(1, 5000, RELAY);
    world.open(flow, RELAY, false);
    world.table.clear();
    world.report(flow);
    let drafts = world.drafts();
    assert_eq!((drafts[0].bytes_upload, drafts[0].bytes_download), (1, 2));
    assert_eq!(drafts[0].metadata["counted"], "relay");
}

#[test]
fn a_new_policy_ends_what_it_denies_and_nothing_else() {
    let mut world = World::new();
    let (denied, allowed) = (key(1, 5000, GUARD), key(2, 5000, GUARD));
    world.open(denied, GUARD, false);
    world.open(allowed, GUARD, false);
    let judge = |_: &str, client| Judgement {
        denied: (client == std::net::IpAddr::from([198, 51, 100, 1]))
            .then_some(Reason::IpRestricted),
        ..Judgement::default()
    };
    let now = world.now();
    world.tracker.rejudge(&mut world.table, judge, &now);
    world.tick(20);
    assert_eq!(world.resets, [denied]);
    world.end(denied, false);
    world.tick(20);
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::PolicyChanged));
    assert_eq!(world.drafts().len(), 1);
}

#[test]
fn a_guarded_flow_of_a_removed_service_is_recorded_and_left_alone() {
    let mut world = World::new();
    world.open(key(1, 5000, GUARD), GUARD, false);
    world.tracker.set_services(vec![(RELAY, ServiceInfo::from(&service(RELAY)))]);
    world.sweep();
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::ServiceRemoved));
    assert!(world.resets.is_empty());
    world.commit();
    assert!(world.table.is_empty());
}

#[test]
fn an_idle_guarded_flow_is_reset() {
    let mut world = World::new();
    let flow = key(1, 5000, GUARD);
    world.open(flow, GUARD, false);
    world.milliseconds += u64::try_from(Duration::from_hours(1).as_millis()).unwrap() + 1;
    world.sweep();
    world.tick(20);
    assert_eq!(world.resets, [flow]);
    assert!(world.drafts().is_empty());
    world.tick(2100);
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::IdleTimeout));
}

#[test]
fn relayed_flows_are_interrupted_by_a_crash_and_guarded_ones_go_on() {
    let mut world = World::new();
    world.open(key(1, 5000, RELAY), RELAY, false);
    world.open(key(2, 5000, GUARD), GUARD, false);
    world.crash();
    world.tick(20);
    let drafts = world.drafts();
    assert_eq!(drafts.len(), 1);
    assert_eq!(drafts[0].service_id, "relay");
    assert_eq!(drafts[0].close_reason, Some(CloseReason::Interrupted));
    world.end(key(2, 5000, GUARD), false);
    world.tick(20);
    assert_eq!(world.drafts()[1].close_reason, Some(CloseReason::ClientClosed));
}

#[test]
fn what_is_open_at_a_clean_stop_is_recorded() {
    let mut world = World::new();
    let flow = key(1, 5000, GUARD);
    world.open(flow, GUARD, false);
    world.table.get_mut(&flow).unwrap().flags |= FlowState::PARTIAL;
    world.finish();
    let drafts = world.drafts();
    assert_eq!(drafts[0].close_reason, Some(CloseReason::Shutdown));
    assert_eq!(drafts[0].metadata["partial"], "true");
}

#[test]
fn a_report_that_comes_after_a_takeover_meets_its_flow() {
    let mut world = World::new();
    let key = key(1, 5000, RELAY);
    world.open(key, RELAY, false);
    world.take_over(false);
    world.end(key, false);
    world.tick(20);
    assert!(world.drafts().is_empty(), "recorded without the report");
    world.report(key);
    world.tick(20);
    assert_eq!(world.drafts().len(), 1);
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::TargetClosed));
}

#[test]
fn what_nobody_reports_any_more_is_interrupted() {
    let mut world = World::new();
    let key = key(1, 5000, RELAY);
    world.open(key, RELAY, false);
    world.take_over(true);
    world.tick(20);
    assert_eq!(world.drafts().len(), 1);
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::Interrupted));
}

#[test]
fn why_a_guarded_connection_is_ended_outlives_a_takeover() {
    let mut world = World::new();
    let key = key(1, 5000, GUARD);
    world.open(key, GUARD, false);
    let denied = Judgement { denied: Some(Reason::IpRestricted), ..Judgement::default() };
    let now = world.now();
    world.tracker.rejudge(&mut world.table, |_, _| denied, &now);
    world.act();
    world.take_over(false);
    world.end(key, false);
    world.tick(20);
    assert_eq!(world.drafts().len(), 1);
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::PolicyChanged));
}

#[test]
fn a_connection_that_waits_for_the_next_daemon_is_that_one_s_to_record() {
    let mut world = World::new();
    let keys = [key(1, 5000, RELAY), key(2, 5000, RELAY), key(1, 5000, GUARD)];
    world.open(keys[0], RELAY, false);
    world.open(keys[1], RELAY, false);
    world.open(keys[2], GUARD, false);
    // Nobody has accepted the first.
    world.sessions.remove(0);
    world.queued.extend([keys[0], keys[2]]);
    world.report(keys[1]);
    world.finish();
    let told: Vec<_> = world.drafts().iter().map(|d| (d.source_port, &*d.service_id)).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(world.drafts().iter().any(|draft| draft.service_id == "guard"));
}

#[test]
fn the_last_packets_of_a_connection_that_the_programs_missed_make_no_record() {
    let mut world = World::new();
    let key = key(1, 5000, RELAY);
    for ends in [false, true] {
        world.open(key, RELAY, false);
        world.table.remove(&key);
        world.report(key);
        assert_eq!(world.drafts().len(), 1, "the relay's own");
        // Its FIN comes when the programs are attached.
        let time = world.now().monotonic;
        let flags = FlowState::ESTABLISHED | FlowState::RELAYED | FlowState::PARTIAL;
        let state = FlowState {
            started: time,
            last_packet: time,
            flags,
            service: RELAY,
            ..FlowState::default()
        };
        world.table.insert(key, state);
        if ends {
            world.end(key, false);
            world.tick(20);
        } else {
            world.sweep();
        }
        assert!(world.table.get(&key).is_none(), "the flow stays");
        assert_eq!(world.drafts().len(), 1);
        world = World::new();
    }
}

#[test]
fn a_connection_whose_end_the_programs_see_half_has_its_record_soon() {
    let mut world = World::new();
    let key = key(1, 5000, RELAY);
    world.open(key, RELAY, false);
    if let Some(state) = world.table.get_mut(&key) {
        state.flags |= FlowState::PARTIAL | FlowState::CLIENT_CLOSED;
    }
    world.report(key);
    world.tick(2500);
    assert_eq!(world.drafts().len(), 1);
    assert_eq!(world.drafts()[0].metadata["counted"], "relay");
    // What it still sends makes no other.
    world.commit();
    world.tick(20);
    assert!(world.table.is_empty());
    let time = world.now().monotonic;
    let flags = FlowState::ESTABLISHED | FlowState::RELAYED | FlowState::PARTIAL;
    let late = FlowState {
        started: time,
        last_packet: time,
        flags,
        service: RELAY,
        ..FlowState::default()
    };
    world.table.insert(key, late);
    world.sweep();
    world.commit();
    assert!(world.table.is_empty());
    assert_eq!(world.drafts().len(), 1);
}
