//! The tracker over many histories: whatever is lost, repeated or killed, every
//! connection and every attempt is recorded once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::world::{GUARD, HTTP, RELAY, World, key};
use crate::record::{FlowId, Origin};

#[derive(Clone, Copy, Debug)]
enum Step {
    Open { client: u8, service: u16, lost: bool },
    End { client: u8, service: u16, lost: bool },
    Report { client: u8, service: u16 },
    Deny { client: u8, cpu: u32, lost: bool },
    Tick(u64),
    Sweep,
    Commit,
    Crash,
    TakeOver { killed: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let service = prop_oneof![Just(GUARD), Just(RELAY), Just(HTTP)];
    let relayed = prop_oneof![Just(RELAY), Just(HTTP)];
    prop_oneof![
        6 => (0u8..4, service.clone(), any::<bool>())
            .prop_map(|(client, service, lost)| Step::Open { client, service, lost }),
        4 => (0u8..4, service, any::<bool>())
            .prop_map(|(client, service, lost)| Step::End { client, service, lost }),
        4 => (0u8..4, relayed).prop_map(|(client, service)| Step::Report { client, service }),
        8 => (any::<u8>(), 0u32..2, prop::bool::weighted(0.2))
            .prop_map(|(client, cpu, lost)| Step::Deny { client, cpu, lost }),
        6 => (1u64..1500).prop_map(Step::Tick),
        1 => Just(Step::Sweep),
        3 => Just(Step::Commit),
        1 => Just(Step::Crash),
        2 => prop::bool::weighted(0.3).prop_map(|killed| Step::TakeOver { killed }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(700))]

    #[test]
    fn everything_is_recorded_once(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        let mut opened = BTreeMap::new();
        let mut unheard = BTreeSet::new();
        for step in steps {
            // No two packets come at the same nanosecond.
            world.milliseconds += 1;
            if let Step::Open { client, lost: true, .. } | Step::End { client, lost: true, .. } = step {
                unheard.insert(key(client, 5000, HTTP));
            }
            match step {
                Step::Open { client, service, lost } => {
                    let key = key(client, 5000, service);
                    world.open(key, service, lost);
                    if let Some(state) = world.table.get(&key) {
                        opened.insert(FlowId { key, started: state.started }, 0);
                    }
                }
                Step::End { client, service, lost } => {
                    world.end(key(client, 5000, service), lost);
                }
                Step::Report { client, service } => world.report(key(client, 5000, service)),
                Step::Deny { client, cpu, lost } => world.deny(client, cpu, lost),
                Step::Tick(milliseconds) => world.tick(milliseconds),
                Step::Sweep => world.sweep(),
                Step::Commit => world.commit(),
                Step::Crash => world.crash(),
                Step::TakeOver { killed } => world.take_over(killed),
            }
        }
        while let Some(flow) = world.sessions.first().map(|session| session.flow) {
            world.report(flow);
        }
        world.tick(2500);
        world.finish();

        prop_assert!(world.table.is_empty(), "entries stay: {:?}", world.table);
        prop_assert!(world.table.parked.is_empty(), "entries stay: {:?}", world.table.parked);
        for entry in &world.written {
            if let Origin::Flow(flow) = &entry.origin {
                *opened.get_mut(flow).expect("a record of a flow that never was") += 1;
            }
        }
        // What HTTP was spoken over is told by its requests. Whether one whose end was lost
        // was ever accepted, nobody may know.
        let expected = |flow: &FlowId| match flow.key.service_port == 1000 + HTTP {
            true if unheard.contains(&flow.key) => 0..=1,
            true => 0..=0,
            false => 1..=1,
        };
        let right = opened.iter().all(|(flow, records)| expected(flow).contains(records));
        prop_assert!(right, "{opened:?}");
        prop_assert_eq!(sum(&world), world.attempts);
    }
}

/// Records and what they suppress, by counter; also told apart from what the
/// records themselves say.
fn sum(world: &World) -> BTreeMap<crate::record::CounterId, u64> {
    let mut sums = BTreeMap::new();
    for entry in &world.written {
        let Origin::Denied { accounted, .. } = &entry.origin else { continue };
        let suppressed = entry.draft.metadata.get("suppressed").map_or(0, |n| n.parse().unwrap());
        assert_eq!(accounted.iter().map(|part| part.attempts).sum::<u64>(), 1 + suppressed);
        for part in accounted {
            *sums.entry(part.counter).or_default() += part.attempts;
        }
    }
    sums
}
