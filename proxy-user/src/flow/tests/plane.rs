//! Flows of the kernel plane: handshakes that come to nothing, and what a stop ends.

use std::time::Duration;

use proxy_common::{address::FlowKey, event::Plea, flow::FlowState, reason::Reason};

use super::world::{self, RELAY, UDP_RELAY, World, service};
use crate::{
    flow::{Output, ServiceInfo},
    record::{CloseReason, FlowId, Verdict},
};

/// The 5-tuple of a client.
fn key(client: u8, slot: u16) -> FlowKey {
    world::key(client, 4000, slot)
}

/// The targets' numbers.
const FIRST: u16 = 4;
const SECOND: u16 = 5;

/// A world whose relayed service has two targets, and four seconds to reach one.
fn world() -> World {
    let mut world = World::new();
    let info =
        ServiceInfo { connect: (Duration::from_secs(4), 2), ..ServiceInfo::from(&service(RELAY)) };
    world.tracker.set_services(vec![(RELAY, info)]);
    let targets = [(FIRST, ([192, 0, 2, 9], 80).into()), (SECOND, ([192, 0, 2, 8], 80).into())];
    world.tracker.set_targets(targets);
    world
}

/// A handshake with a target that begins now.
fn dial(world: &World, target: u16) -> FlowState {
    let mut state = FlowState { started: world.now().monotonic, ..FlowState::default() };
    state.up.base = 1001;
    state.up.packets = 1;
    state.forward(RELAY, target, 1);
    state
}

fn look(world: &mut World, state: &FlowState, after: u64) {
    world.milliseconds += after;
    let now = world.now();
    world.tracker.look_at_dials([(key(7, RELAY), *state)], &now);
    world.act();
}

#[test]
fn a_silent_target_leaves_its_share_of_the_time_to_the_next() {
    let mut world = world();
    let mut state = dial(&world, FIRST);
    look(&mut world, &state, 1999);
    assert_eq!(world.plane, []);
    look(&mut world, &state, 1);
    assert!(matches!(world.plane[0], Output::TargetFailed(RELAY, FIRST, _)), "{:?}", world.plane);
    assert_eq!(world.plane[1..], [Output::Redial(key(7, RELAY))]);
    // Before the client has sent another SYN nothing more is to be said of the first.
    look(&mut world, &state, 500);
    assert_eq!(world.plane.len(), 2);
    state.target = SECOND;
    look(&mut world, &state, 500);
    assert_eq!(world.plane.len(), 2, "the second has just been asked");
    assert_eq!(world.drafts().len(), 0);
}

#[test]
fn a_client_whom_no_target_answers_is_refused_and_recorded_once() {
    let mut world = world();
    let mut state = dial(&world, FIRST);
    look(&mut world, &state, 2000);
    state.target = SECOND;
    look(&mut world, &state, 2000);
    let failed = world.plane.iter().filter(|output| matches!(output, Output::TargetFailed(..)));
    assert_eq!(failed.count(), 2, "{:?}", world.plane);
    let [.., refused, dropped] = world.plane.as_slice() else { panic!("{:?}", world.plane) };
    assert_eq!(
        [refused, dropped],
        [&Output::Refuse(key(7, RELAY), 1000), &Output::DropDial(key(7, RELAY))]
    );
    let drafts = world.drafts();
    assert_eq!(drafts.len(), 1);
    assert_eq!(
        (drafts[0].verdict, drafts[0].reason),
        (Verdict::Error, Some(Reason::BackendUnreachable))
    );
    assert_eq!(drafts[0].target, "192.0.2.8:80");
    assert_eq!(drafts[0].duration_ms, 4000);
    assert_eq!(drafts[0].metadata["plane"], "kernel");
}

#[test]
fn a_handshake_that_the_target_answered_is_the_clients_to_complete() {
    let mut world = world();
    let mut state = dial(&world, FIRST);
    state.down.known = 1;
    look(&mut world, &state, 59_000);
    assert_eq!(world.plane, []);
    look(&mut world, &state, 2000);
    assert_eq!(world.plane, [Output::DropDial(key(7, RELAY))]);
    assert_eq!(world.drafts().len(), 0, "half-open is counted, not recorded");
}

#[test]
fn a_refusal_that_the_client_does_not_hear_sends_it_to_another_target() {
    let mut world = world();
    let mut state = dial(&world, FIRST);
    let flow = FlowId { key: key(7, RELAY), started: state.started };
    let refuse = |world: &mut World, plea, state: &FlowState| {
        let now = world.now();
        world.tracker.refused_by_target(plea, flow, state, &now);
        world.act();
    };
    refuse(&mut world, Plea::RefusedOne, &state);
    assert_eq!(world.plane.last(), Some(&Output::Redial(key(7, RELAY))));
    assert_eq!(world.drafts().len(), 0);
    state.target = SECOND;
    // None is left: it is told, although the kernel did not.
    refuse(&mut world, Plea::RefusedOne, &state);
    assert!(world.plane.contains(&Output::Refuse(key(7, RELAY), 1000)), "{:?}", world.plane);
    assert_eq!(world.drafts().len(), 1);
}

#[test]
fn a_stop_ends_streams_last_and_datagrams_at_rest() {
    let mut world = world();
    for (client, slot) in [(7, RELAY), (8, UDP_RELAY)] {
        let time = world.now().monotonic;
        let mut state = FlowState { started: time, last_packet: time, ..FlowState::default() };
        state.forward(slot, FIRST, 1);
        state.flags |= FlowState::ESTABLISHED;
        world.table.insert(key(client, slot), state);
    }
    let drain = |world: &mut World, after: u64, all| {
        world.milliseconds += after;
        let now = world.now();
        world.tracker.drain_forwarded(&mut world.table, all, &now);
        world.act();
    };
    drain(&mut world, 900, false);
    assert_eq!(world.drafts().len(), 0);
    drain(&mut world, 200, false);
    assert_eq!(world.drafts().len(), 1, "the datagrams'");
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::Shutdown));
    assert_eq!(world.resets, []);
    drain(&mut world, 0, true);
    assert_eq!(world.resets, [key(7, RELAY)]);
}
