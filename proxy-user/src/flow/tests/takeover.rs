//! What one daemon leaves to the next, row by row.

use std::net::IpAddr;

use proxy_common::{
    event::{CutEvent, KIND_CUT},
    flow::FlowState,
    reason::Reason,
    verdict::Judgement,
};

use super::world::{RELAY, UDP_RELAY, World, key, service};
use crate::{
    config::Service,
    flow::{Fate, FlowPast, Outcome, udp_sessions::UdpSessions},
    record::{CloseReason, Verdict},
};

/// Longer than the services' `idle_timeout`.
const LONG: u64 = 31_000;

/// The upload of all records together.
fn uploaded(world: &World) -> u64 {
    world.drafts().iter().map(|draft| draft.bytes_upload).sum()
}

/// A policy that denies the first client.
fn denying(_: &str, client: IpAddr) -> Judgement {
    let denied = client == IpAddr::from([198, 51, 100, 1]);
    Judgement { denied: denied.then_some(Reason::IpRestricted), ..Judgement::default() }
}

fn rejudge(world: &mut World) {
    let now = world.now();
    world.tracker.rejudge(&mut world.table, denying, &now);
    world.act();
}

#[test]
fn datagrams_that_wait_for_the_next_daemon_are_that_one_s_to_record() {
    let mut world = World::new();
    world.datagram(key(1, 5000, UDP_RELAY), UDP_RELAY, 10, false);
    world.tick(5_000);
    let now = world.now();
    world.tracker.leave_unread(&now);
    world.tick(1);
    world.datagram(key(2, 5000, UDP_RELAY), UDP_RELAY, 10, true);
    world.tick(5_000);
    world.finish();
    let drafts = world.drafts();
    assert_eq!(drafts.len(), 1, "{drafts:?}");
    assert_eq!(drafts[0].verdict, Verdict::Error, "there was no room for it in the socket");
}

/// While the session may finish its client sends on, to whom nobody listens.
#[test]
fn a_session_that_ends_with_the_daemon_has_the_bytes_that_it_served() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_RELAY);
    world.datagram(flow, UDP_RELAY, 10, true);
    world.serve(false);
    world.hear();
    let now = world.now();
    world.tracker.leave_unread(&now);
    world.tick(1_000);
    world.datagram(flow, UDP_RELAY, 5, true);
    world.end_session(flow);
    world.hear();
    world.finish();
    let drafts = world.drafts();
    assert_eq!((drafts.len(), drafts[0].bytes_upload), (1, 10));
    assert_eq!(drafts[0].metadata["counted"], "relay");
}

/// The relay reads what waits before the programs are attached.
#[test]
fn a_session_that_began_before_the_programs_has_all_its_bytes() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_RELAY);
    world.datagram(flow, UDP_RELAY, 10, true);
    world.serve(false);
    world.table.clear();
    world.tick(20);
    world.datagram(flow, UDP_RELAY, 5, true);
    world.serve(false);
    world.end_session(flow);
    world.hear();
    assert_eq!((world.drafts().len(), uploaded(&world)), (1, 15));
}

#[test]
fn datagrams_that_wait_during_a_crash_are_counted_once() {
    let mut world = World::new();
    let (served, waiting) = (key(1, 5000, UDP_RELAY), key(2, 5000, UDP_RELAY));
    world.datagram(served, UDP_RELAY, 10, true);
    world.serve(false);
    world.hear();
    world.crash_before(|world| {
        world.datagram(served, UDP_RELAY, 5, true);
        world.datagram(waiting, UDP_RELAY, 3, true);
    });
    world.milliseconds += 1;
    world.serve(false);
    world.end_sessions();
    world.hear();
    assert_eq!(uploaded(&world), 18);
    assert_eq!(world.tracker.stats().without_flow, 0);
}

/// The normal case after a takeover: the session before has not ended, and what its client
/// sends began another.
#[test]
fn two_sessions_of_a_flow_one_of_which_is_lost_are_counted_once() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_RELAY);
    world.datagram(flow, UDP_RELAY, 10, true);
    world.serve(false);
    world.hear();
    world.take_over(false);
    world.datagram(flow, UDP_RELAY, 5, true);
    world.serve(false);
    world.kill_before();
    world.tick(60_000);
    world.end_session(flow);
    world.hear();
    assert_eq!((world.drafts().len(), uploaded(&world)), (2, 15));
    assert_eq!(world.tracker.stats().without_flow, 0);
}

#[test]
fn a_flow_of_a_refused_attempt_is_told_before_anything_is_looked_at() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_RELAY);
    world.datagram(flow, UDP_RELAY, 10, true);
    world.serve(true);
    world.hear();
    world.milliseconds += 1;
    world.datagram(flow, UDP_RELAY, 10, false);
    world.milliseconds += LONG;
    world.take_over(false);
    assert_eq!(world.drafts().len(), 1, "a second one for the same attempt");
}

#[test]
fn attempts_that_the_relay_only_counted_are_told_with_a_takeover() {
    let mut world = World::new();
    for client in 0..10 {
        world.datagram(key(client, 5000, UDP_RELAY), UDP_RELAY, 10, false);
    }
    let now = world.now();
    world.tracker.refused(&service(UDP_RELAY), Reason::ConnectionLimit, 10, &now);
    world.milliseconds += LONG;
    world.take_over(false);
    world.take_over(false);
    world.tick(1000);
    let drafts = world.drafts();
    assert_eq!(drafts.len(), 1, "{drafts:?}");
    assert_eq!(drafts[0].metadata["suppressed"], "9");
}

#[test]
fn what_this_process_knows_is_not_older_for_what_another_told() {
    let (flow, mut sessions) = (key(1, 5000, UDP_RELAY), UdpSessions::default());
    sessions.share(flow, 50);
    sessions.refuse(flow, std::time::Duration::ZERO, 50);
    let past = FlowPast { flow, shared_until: 7, refused_until: 8, refused_at: 1 };
    sessions.take_over(past);
    assert!(sessions.is_shared(&flow, 40));
    assert!(sessions.is_told(&flow, UDP_RELAY, 40));
    assert!(!sessions.is_told_elsewhere(&flow, 60), "its own relay tells it apart");
    sessions.take_over(FlowPast { refused_until: u64::MAX, ..past });
    assert!(sessions.is_told_elsewhere(&flow, 60));
}

/// Its relay is another, to whom every client is new.
#[test]
fn an_attempt_is_one_over_takeovers_until_a_silence() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_RELAY);
    for _ in 0..10 {
        world.datagram(flow, UDP_RELAY, 10, true);
        world.serve(true);
        world.hear();
        world.commit();
        world.tick(119_000);
        world.sweep();
        world.take_over(false);
    }
    assert_eq!(world.drafts().len(), 1);
    world.tick(2_000);
    world.datagram(flow, UDP_RELAY, 10, true);
    world.sweep();
    world.serve(true);
    world.hear();
    assert_eq!(world.drafts().len(), 2, "after 121 s of silence it is another");
    world.tick(LONG);
    world.sweep();
    world.commit();
    assert!(world.table.is_empty() && world.table.parked.is_empty());
}

/// What it sends between two reports is known by its flow alone.
#[test]
fn an_attempt_that_goes_on_before_a_takeover_goes_on_after_it() {
    let mut world = World::new();
    let flow = key(1, 5000, UDP_RELAY);
    world.datagram(flow, UDP_RELAY, 10, true);
    world.serve(true);
    world.hear();
    for _ in 0..5 {
        world.tick(25_000);
        world.datagram(flow, UDP_RELAY, 10, false);
        world.sweep();
    }
    world.take_over(false);
    world.tick(100_000);
    world.datagram(flow, UDP_RELAY, 10, true);
    world.serve(true);
    world.hear();
    assert_eq!(world.drafts().len(), 1);
}

#[test]
fn attempts_at_a_service_that_is_gone_are_recorded_under_its_name() {
    let mut world = World::new();
    let gone = Service { name: "gone".into(), ..service(UDP_RELAY) };
    let now = world.now();
    world.tracker.refused(&gone, Reason::ConnectionLimit, 3, &now);
    world.tick(1000);
    let drafts = world.drafts();
    assert_eq!((drafts.len(), &*drafts[0].service_id), (1, "gone"));
    assert_eq!(drafts[0].metadata["suppressed"], "2");
}

#[test]
fn a_new_policy_ends_what_the_process_before_serves() {
    let mut world = World::new();
    let (denied, allowed) = (key(1, 5000, RELAY), key(2, 5000, RELAY));
    world.open(denied, RELAY, false);
    world.open(allowed, RELAY, false);
    world.take_over(false);
    rejudge(&mut world);
    rejudge(&mut world);
    assert_eq!(world.resets, [denied], "once");
    // That process only finds its socket ended.
    world.end(denied, false);
    world.report_as(denied, |report| {
        if let Outcome::Admitted { fate: Fate::Served { close_reason, .. }, .. } =
            &mut report.outcome
        {
            *close_reason = CloseReason::ClientReset;
        }
    });
    world.report(allowed);
    world.end(allowed, false);
    world.tick(20);
    let told: Vec<_> = world.drafts().iter().map(|d| (d.source_port, d.close_reason)).collect();
    let [changed, closed] = [CloseReason::PolicyChanged, CloseReason::TargetClosed].map(Some);
    assert_eq!(told, [(5000, changed), (5000, closed)]);
}

#[test]
fn a_connection_that_the_kernel_cuts_is_ended_where_another_process_serves_it() {
    let mut world = World::new();
    let (own, other) = (key(1, 5000, RELAY), key(2, 5000, RELAY));
    world.open(other, RELAY, false);
    world.take_over(false);
    world.open(own, RELAY, false);
    for key in [own, other] {
        world.table.get_mut(&key).unwrap().flags |= FlowState::CUT;
        let now = world.now();
        let event = CutEvent { kind: KIND_CUT, pad: 0, key };
        world.tracker.cut(&event, &mut world.table, &now);
    }
    world.act();
    assert_eq!(world.resets, [other], "the relay ends its own");
    let now = world.now();
    world.tracker.lost(other, &mut world.table, &now);
    world.act();
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::PolicyChanged));
}

#[test]
fn a_5_tuple_that_is_used_again_is_the_relays_own() {
    let mut world = World::new();
    let flow = key(1, 5000, RELAY);
    world.open(flow, RELAY, false);
    world.take_over(false);
    world.report(flow);
    world.end(flow, false);
    world.tick(20);
    world.open(flow, RELAY, false);
    rejudge(&mut world);
    assert!(world.resets.is_empty(), "the relay ends it");
}

/// Or else the first would have the end and the target of the second, which had none.
#[test]
fn a_connection_that_a_killed_daemon_served_takes_no_report_of_the_next_of_its_5_tuple() {
    for ends_before_its_report in [true, false] {
        let mut world = World::new();
        let flow = key(1, 5000, RELAY);
        world.open(flow, RELAY, false);
        world.tick(100);
        world.crash_and_reuse(flow, RELAY);
        world.tick(100);
        if ends_before_its_report {
            world.end(flow, false);
        }
        world.report(flow);
        world.end(flow, false);
        world.tick(100);
        let drafts = world.drafts();
        let told: Vec<_> = drafts.iter().map(|d| (d.close_reason, d.duration_ms)).collect();
        assert_eq!(
            told,
            [(Some(CloseReason::Interrupted), 100), (Some(CloseReason::TargetClosed), 100)],
            "{drafts:?}"
        );
    }
}
