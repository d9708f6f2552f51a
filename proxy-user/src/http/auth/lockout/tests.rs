#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::*;
use crate::http::auth::device::DeviceId;

const RULES: config::Lockout = config::Lockout {
    attempts: 5,
    window: Duration::from_mins(10),
    duration: Duration::from_mins(15),
};

/// A service under attack, and its time.
struct World {
    lockout: Lockout,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self { lockout: Lockout::default(), now: Instant::now() }
    }

    fn attempt(&self, from: TriedFrom, value: u64, outcome: Outcome) -> Result<Admission, Locked> {
        let attempt = Attempt { service: "wiki", rules: &RULES, from, tag: tag(value) };
        let admitted = self.lockout.admit(&attempt, self.now)?;
        self.lockout.settle(&attempt, outcome, self.now);
        Ok(admitted)
    }

    fn wrong(&self, from: TriedFrom, value: u64) -> bool {
        self.attempt(from, value, Outcome::Wrong).is_ok()
    }

    fn right(&self, from: TriedFrom) -> bool {
        self.attempt(from, u64::MAX, Outcome::Right).is_ok()
    }

    fn size(&self) -> usize {
        self.lockout.services.lock()["wiki"].size()
    }
}

fn tag(value: u64) -> Tag {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&value.to_be_bytes());
    Tag(bytes)
}

fn from(client: impl Into<IpAddr>) -> TriedFrom {
    TriedFrom { client: client.into(), device: None }
}

fn v4(last: u8) -> TriedFrom {
    from([192, 0, 2, last])
}

fn v6(site: u16, subnet: u16, host: u16) -> TriedFrom {
    from([0x2001, 0xdb8, site, subnet, 0, 0, 0, host])
}

#[test]
fn an_address_has_five_wrong_tries_and_then_waits() {
    let mut world = World::new();
    for value in 0..5 {
        assert!(world.wrong(v4(1), value));
    }
    let locked = world.attempt(v4(1), 5, Outcome::Right).unwrap_err();
    assert_eq!(locked.retry_after, RULES.duration);
    assert!(!world.wrong(v4(1), 0), "what is known to be wrong is not told either");
    assert!(world.right(v4(2)), "the neighbour is not locked");
    let half = RULES.duration / 2;
    world.now += half;
    assert!(!world.right(v4(1)), "to try while it is locked does not matter");
    world.now += half;
    assert!(world.right(v4(1)));
    for value in 10..15 {
        assert!(world.wrong(v4(1), value));
    }
}

#[test]
fn a_program_that_repeats_one_wrong_value_does_not_lock_its_users_out() {
    let world = World::new();
    assert_eq!(world.attempt(v4(1), 7, Outcome::Wrong), Ok(Admission::Try));
    for _ in 0..1000 {
        assert_eq!(world.attempt(v4(1), 7, Outcome::Wrong), Ok(Admission::KnownWrong));
    }
    assert!(world.right(v4(1)));
}

#[test]
fn nobody_learns_what_others_tried() {
    let world = World::new();
    for _ in 0..2 {
        world.attempt(v4(1), 7, Outcome::Wrong).unwrap();
    }
    assert_eq!(world.attempt(v4(2), 7, Outcome::Wrong), Ok(Admission::Try));
}

#[test]
fn right_tries_do_not_count_and_do_not_clear_what_was_wrong() {
    let world = World::new();
    for value in 0..4 {
        assert!(world.wrong(v4(1), value));
        assert!((0..10).all(|_| world.right(v4(1))));
    }
    assert!(world.wrong(v4(1), 4));
    assert!(!world.right(v4(1)));
}

#[test]
fn tries_that_are_looked_at_at_the_same_time_are_counted_already() {
    let world = World::new();
    let tags = (0..6).map(tag);
    let rules = &RULES;
    let all: Vec<_> =
        tags.map(|tag| Attempt { service: "wiki", rules, from: v4(1), tag }).collect();
    let admitted: Vec<bool> =
        all.iter().map(|attempt| world.lockout.admit(attempt, world.now).is_ok()).collect();
    assert_eq!(admitted, [true, true, true, true, true, false]);
    assert!(world.lockout.admit(&all[4], world.now).is_ok(), "it is no other guess");
    world.lockout.settle(&all[4], Outcome::NotLookedAt, world.now);
    assert!(!world.right(v4(1)), "the first one is still looked at");
    world.lockout.settle(&all[4], Outcome::NotLookedAt, world.now);
    assert!(world.right(v4(1)), "it was given back");
}

/// For one of many copies of a guess there is no place in the end, which must not make the
/// others free.
#[test]
fn a_guess_counts_when_one_look_of_several_shows_that_it_is_wrong() {
    for outcomes in [
        [Outcome::NotLookedAt, Outcome::Wrong, Outcome::Wrong],
        [Outcome::Wrong, Outcome::NotLookedAt, Outcome::NotLookedAt],
        [Outcome::NotLookedAt, Outcome::NotLookedAt, Outcome::Wrong],
    ] {
        let world = World::new();
        for value in 0..5 {
            let (rules, from) = (&RULES, v4(1));
            let attempt = Attempt { service: "wiki", rules, from, tag: tag(value) };
            for _ in outcomes {
                assert_eq!(world.lockout.admit(&attempt, world.now), Ok(Admission::Try));
            }
            for outcome in outcomes {
                world.lockout.settle(&attempt, outcome, world.now);
            }
        }
        assert!(!world.right(v4(1)), "{outcomes:?}");
    }
}

#[test]
fn wrong_tries_are_forgotten_with_their_window() {
    let mut world = World::new();
    for round in 0..10 {
        for value in 0..4 {
            assert!(world.wrong(v4(1), round * 10 + value));
        }
        world.now += RULES.window;
    }
}

#[test]
fn who_has_a_site_of_ipv6_has_no_more_tries_than_a_few_addresses() {
    let world = World::new();
    let tries = |all: &mut dyn Iterator<Item = TriedFrom>| {
        all.zip(0..).filter(|(from, value)| world.wrong(*from, *value)).count()
    };
    assert_eq!(tries(&mut (0..100).map(|host| v6(1, 0, host))), 5, "a /64");
    assert_eq!(tries(&mut (0..100).map(|subnet| v6(2, subnet, 1))), 20, "a /56");
    assert_eq!(tries(&mut (0..100).map(|part| v6(3, part << 8, 1))), 50, "a /48");
    assert!(world.right(v6(4, 0, 1)));
}

#[test]
fn a_v4_mapped_address_is_counted_as_ipv4() {
    let world = World::new();
    let mapped = from("::ffff:192.0.2.1".parse::<IpAddr>().unwrap());
    assert_eq!((0..9).filter(|value| world.wrong(mapped, *value)).count(), 5);
    assert!(!world.right(v4(1)) && world.right(v4(2)));
}

#[test]
fn a_thousand_wrong_passwords_of_a_network_lock_out_no_known_browser() {
    let mut world = World::new();
    let wrong = (0..1000).zip((0..=255).cycle());
    let wrong = wrong.filter(|(value, host)| world.wrong(v4(*host), *value)).count();
    assert_eq!(wrong, 300, "the service's window");
    let known = TriedFrom { device: Some(DeviceId::new().unwrap()), ..v4(1) };
    assert!(world.right(known));
    assert!(!world.right(v4(250)) && !world.right(from([203, 0, 113, 1])));
    world.now += RULES.window;
    assert!(world.right(from([203, 0, 113, 1])), "the window is over");
}

#[test]
fn a_known_browser_has_tries_of_its_own() {
    let world = World::new();
    let device = |id| TriedFrom { device: Some(id), ..v4(1) };
    let (one, two) = (DeviceId::new().unwrap(), DeviceId::new().unwrap());
    assert_eq!((0..9).filter(|value| world.wrong(device(one), *value)).count(), 5);
    assert!(!world.right(device(one)));
    assert!(world.right(device(two)) && world.right(v4(1)));
}

#[test]
fn services_are_counted_apart() {
    let world = World::new();
    assert_eq!((0..9).filter(|value| world.wrong(v4(1), *value)).count(), 5);
    let attempt = Attempt { service: "shop", rules: &RULES, from: v4(1), tag: tag(0) };
    assert!(world.lockout.admit(&attempt, world.now).is_ok());
    world.lockout.retain(|service| service == "shop");
    assert!(world.right(v4(1)));
}

#[test]
fn locks_that_last_fill_no_memory_and_never_open_more_than_the_window() {
    let rules = config::Lockout { duration: Duration::from_hours(9000), ..RULES };
    let mut world = World::new();
    let mut admitted = 0;
    for number in 0..40_000u32 {
        if number % 600 == 0 {
            world.now += RULES.window;
        }
        let from = from((0x0a00_0000 + number / 5).to_be_bytes());
        let attempt = Attempt { service: "wiki", rules: &rules, from, tag: tag(number.into()) };
        if world.lockout.admit(&attempt, world.now).is_ok() {
            admitted += 1;
            world.lockout.settle(&attempt, Outcome::Wrong, world.now);
        }
    }
    assert!(admitted <= 300 * (40_000 / 600 + 1), "{admitted}");
    assert!(world.size() <= 2 * 8192);
}
