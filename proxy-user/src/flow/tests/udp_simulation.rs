//! UDP over many histories: whatever comes late, is lost or is killed, every flow and
//! every session is recorded once, with all that the kernel counted.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::world::{UDP_GUARD, UDP_RELAY, World, key};
use crate::record::{CloseReason, FlowId, Verdict};

#[derive(Clone, Copy, Debug)]
enum Step {
    Datagram {
        client: u8,
        service: u16,
        bytes: u64,
        arrives: bool,
    },
    Answer {
        client: u8,
        service: u16,
        bytes: u64,
    },
    Serve {
        refuses: bool,
    },
    EndSession {
        client: u8,
    },
    Hear,
    Cut {
        client: u8,
        lost: bool,
    },
    Tick(u64),
    Sweep,
    Commit,
    /// The daemon is killed, while it takes this client's flow.
    Crash {
        client: u8,
        service: u16,
        /// Its client sends while no daemon runs, to a socket that is there.
        sends: bool,
    },
    /// Another daemon takes over, while this one's sessions go on, unless it is killed.
    TakeOver {
        killed: bool,
    },
    EndBefore {
        client: u8,
    },
    /// The daemon before is killed.
    KillBefore,
}

fn step() -> impl Strategy<Value = Step> {
    let service = || prop_oneof![1 => Just(UDP_GUARD), 2 => Just(UDP_RELAY)];
    let client = || 0u8..3;
    prop_oneof![
        12 => (client(), service(), 0u64..3, prop::bool::weighted(0.9)).prop_map(
            |(client, service, bytes, arrives)| Step::Datagram { client, service, bytes, arrives }
        ),
        6 => (client(), service(), 0u64..3)
            .prop_map(|(client, service, bytes)| Step::Answer { client, service, bytes }),
        8 => prop::bool::weighted(0.1).prop_map(|refuses| Step::Serve { refuses }),
        5 => client().prop_map(|client| Step::EndSession { client }),
        8 => Just(Step::Hear),
        1 => (client(), any::<bool>()).prop_map(|(client, lost)| Step::Cut { client, lost }),
        4 => prop_oneof![4 => 1u64..1500, 1 => 1u64..70_000].prop_map(Step::Tick),
        3 => Just(Step::Sweep),
        3 => Just(Step::Commit),
        1 => (client(), service(), any::<bool>())
            .prop_map(|(client, service, sends)| Step::Crash { client, service, sends }),
        2 => prop::bool::weighted(0.2).prop_map(|killed| Step::TakeOver { killed }),
        3 => client().prop_map(|client| Step::EndBefore { client }),
        1 => Just(Step::KillBefore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn everything_is_recorded_once(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        for step in steps {
            // No two packets come at the same nanosecond.
            world.milliseconds += 1;
            let key = |client, service| key(client, 5000, service);
            match step {
                Step::Datagram { client, service, bytes, arrives } => {
                    world.datagram(key(client, service), service, bytes, arrives);
                }
                Step::Answer { client, service, bytes } => {
                    world.answer(key(client, service), bytes);
                }
                Step::Serve { refuses } => world.serve(refuses),
                Step::EndSession { client } => world.end_session(key(client, UDP_RELAY)),
                Step::Hear => world.hear(),
                Step::Cut { client, lost } => world.cut(key(client, UDP_GUARD), lost),
                Step::Tick(milliseconds) => {
                    world.keep_up(milliseconds);
                    world.tick(milliseconds);
                }
                Step::Sweep => {
                    world.hear();
                    world.sweep();
                }
                Step::Commit => world.commit(),
                Step::Crash { client, service, sends } => {
                    let key = key(client, service);
                    world.table.half_take(&key);
                    prop_assert_eq!(world.tracker.stats().without_flow, 0);
                    world.crash_before(|world| {
                        if sends {
                            world.datagram(key, service, 1, true);
                        }
                    });
                }
                Step::EndBefore { client } => world.end_before(key(client, UDP_RELAY)),
                Step::KillBefore => world.kill_before(),
                Step::TakeOver { killed } => {
                    world.hear();
                    prop_assert_eq!(world.tracker.stats().without_flow, 0);
                    world.take_over(killed);
                }
            }
        }
        world.end_sessions();
        world.hear();
        world.finish();
        prop_assert_eq!(world.tracker.stats().without_flow, 0);
        prop_assert!(world.table.is_empty(), "entries stay: {:?}", world.table);
        prop_assert!(world.table.parked.is_empty(), "entries stay: {:?}", world.table.parked);
        check_flows(&world);
        check_sessions(&world);
    }
}

/// Each flow has one record, of exactly what was counted; but one of an attempt that was
/// refused once already.
fn check_flows(world: &World) {
    let mut records: BTreeMap<FlowId, u32> = BTreeMap::new();
    for entry in &world.written {
        let draft = &entry.draft;
        for flow in entry.origin.flows() {
            *records.entry(*flow).or_default() += 1;
            let counted = world.udp.counted[flow];
            let served = draft.verdict == Verdict::Allowed;
            let expected = if served { counted } else { (0, 0) };
            assert_eq!((draft.bytes_upload, draft.bytes_download), expected, "{entry:?}");
        }
    }
    for flow in world.udp.counted.keys() {
        match records.get(flow) {
            Some(1) => {}
            None => assert!(world.udp.refused.contains(&flow.key), "no record: {flow:?}"),
            Some(more) => panic!("{more} records: {flow:?}"),
        }
    }
}

/// Each session that ended with this daemon has one record.
fn check_sessions(world: &World) {
    let mut records: BTreeMap<&str, u32> = BTreeMap::new();
    for entry in &world.written {
        let draft = &entry.draft;
        if draft.service_id == "udp-relay" && draft.close_reason == Some(CloseReason::IdleTimeout) {
            *records.entry(&draft.target).or_default() += 1;
        }
    }
    assert!(records.values().all(|count| *count == 1), "{records:?}");
    for number in &world.udp.begun {
        let target = format!("192.0.2.9:{number}");
        assert!(records.contains_key(&*target), "no record of session {number}: {records:?}");
    }
}
