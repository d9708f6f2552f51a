//! Targets of sessions without a dial.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::runtime::Handle;

use super::{backends::*, support::*};
use crate::{
    config::{Destination, Service, Target},
    relay::{connect::DialError, targets::Pool},
};

/// The pool of a service with these targets.
pub(crate) fn pool(targets: &[SocketAddr]) -> Pool {
    of(&behind("dns", targets, None))
}

fn of(service: &Service) -> Pool {
    let pool = Pool::new("dns", Arc::<Notes>::default(), Handle::current());
    if let Destination::Targets(targets) = &service.destination {
        pool.update(targets, |_| None);
    }
    pool
}

fn address(host: u8) -> SocketAddr {
    ([192, 0, 2, host], 53).into()
}

async fn chosen(pool: &Pool) -> SocketAddr {
    pool.choose(LOCALHOST, PATIENCE).await.expect("a target").address
}

fn is_up(pool: &Pool) -> Vec<bool> {
    pool.states().iter().map(|state| state.error.is_none()).collect()
}

#[tokio::test]
async fn a_session_counts_at_its_target_until_it_is_over() {
    let pool = pool(&[address(1), address(2)]);
    let first = pool.choose(LOCALHOST, PATIENCE).await.expect("a target");
    let second = pool.choose(LOCALHOST, PATIENCE).await.expect("a target");
    assert_eq!([first.address, second.address], [address(1), address(2)]);
    assert_eq!(*second.seat.target(), Target::Address(address(2)));
    let sessions = || pool.states().iter().map(|state| state.sessions).collect::<Vec<_>>();
    assert_eq!(sessions(), [1, 1]);
    drop(first);
    assert_eq!(sessions(), [0, 1]);
}

#[tokio::test]
async fn a_target_that_a_session_says_has_failed_is_left_alone() {
    let pool = pool(&[address(1), address(2)]);
    let choice = pool.choose(LOCALHOST, PATIENCE).await.expect("a target");
    choice.seat.failed(&"port unreachable");
    assert_eq!(is_up(&pool), [false, true]);
    for _ in 0..4 {
        assert_eq!(chosen(&pool).await, address(2));
    }
    choice.seat.worked();
    assert_eq!(is_up(&pool), [true, true]);
}

/// There is nothing to dial, and a target that is only sent to never answers.
#[tokio::test]
async fn a_session_after_the_failure_that_has_nothing_to_complain_of_speaks_for_the_target() {
    let pool = pool(&[address(1)]);
    let before = pool.choose(LOCALHOST, PATIENCE).await.expect("a target");
    let failing = pool.choose(LOCALHOST, PATIENCE).await.expect("a target");
    failing.seat.failed(&"port unreachable");
    drop((failing, before));
    assert_eq!(is_up(&pool), [false]);
    assert_eq!(chosen(&pool).await, address(1), "the last resort");
    assert_eq!(is_up(&pool), [true]);
}

#[tokio::test]
async fn a_name_that_has_no_address_gives_its_turn_to_the_next() {
    let mut service = behind("dns", &[address(1)], None);
    let name = Target::Name { host: "weir-test.invalid".to_owned(), port: 53 };
    service.destination = name.clone().into();
    let pool = of(&service);
    let failed = pool.choose(LOCALHOST, Duration::from_millis(300)).await.err().expect("no target");
    assert_eq!(failed.target, name.to_string());
    assert!(matches!(failed.error, DialError::Timeout | DialError::Unreachable(_)));
}
