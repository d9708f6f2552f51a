//! Services with several targets.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};

use super::{backends::*, support::*};
use crate::{
    config::{Balance, Destination, ListenAddress, Target},
    record::CloseReason,
    relay::{Fate, Outcome, TargetState},
};

/// Often enough for a test.
const OFTEN: Option<Duration> = Some(Duration::from_millis(10));

fn client(host: u8) -> IpAddr {
    [127, 0, 0, host].into()
}

/// Makes a connection for each client, one after the other; who served them.
async fn served(clients: impl IntoIterator<Item = u8>, relay: &Relay) -> Vec<char> {
    let address = relay.address("db").await;
    let mut greetings = Vec::new();
    for host in clients {
        greetings.push(greeting(client(host), address).await.1);
    }
    greetings
}

fn states(relay: &Relay) -> Vec<TargetState> {
    relay.listeners.targets().remove("db").unwrap()
}

async fn greet_at(address: std::net::SocketAddr) -> JoinHandle<()> {
    greet(TcpListener::bind(address).await.unwrap(), b"r")
}

#[tokio::test]
async fn each_target_is_used_in_turn() {
    let targets = [echo(b"a").await, echo(b"b").await, echo(b"c").await];
    let relay = Relay::new();
    relay.publish(behind("db", &targets, None)).await;
    assert_eq!(served([1; 6], &relay).await, ['a', 'b', 'c', 'a', 'b', 'c']);
}

#[tokio::test]
async fn the_target_with_the_fewest_sessions_is_used() {
    let targets = [echo(b"a").await, echo(b"b").await, echo(b"c").await];
    let relay = Relay::new();
    let service = balanced(behind("db", &targets, None), Balance::LeastConn);
    let address = relay.publish(service).await;
    let mut open = BTreeMap::new();
    for _ in 0..3 {
        let (stream, by) = greeting(LOCALHOST, address).await;
        open.insert(by, stream);
    }
    assert_eq!(open.len(), 3, "one each");
    assert!(states(&relay).iter().all(|state| state.sessions == 1));
    open.remove(&'b');
    relay.ended(1).await;
    assert_eq!(states(&relay)[1].sessions, 0);
    assert_eq!(greeting(LOCALHOST, address).await.1, 'b');
}

#[tokio::test]
async fn a_client_keeps_its_target_while_others_come_and_go() {
    let targets = [echo(b"a").await, echo(b"b").await, echo(b"c").await, echo(b"d").await];
    let relay = Relay::new();
    let by_source = |count| balanced(behind("db", &targets[..count], None), Balance::SourceHash);
    relay.publish(by_source(3)).await;
    let three = served(1..=40, &relay).await;
    assert_eq!(served(1..=40, &relay).await, three);
    assert!(['a', 'b', 'c'].iter().all(|name| three.contains(name)), "{three:?}");
    relay.publish(by_source(4)).await;
    let four = served(1..=40, &relay).await;
    let moved: Vec<_> = four.iter().zip(&three).filter(|(new, old)| new != old).collect();
    assert!(!moved.is_empty() && moved.iter().all(|(new, _)| **new == 'd'), "{moved:?}");
    relay.publish(by_source(3)).await;
    assert_eq!(served(1..=40, &relay).await, three);
}

#[tokio::test]
async fn a_failed_dial_goes_on_to_the_next_target() {
    let (dead, alive) = (dead(), echo(b"b").await);
    let relay = Relay::new();
    relay.publish(behind("db", &[dead, alive], None)).await;
    assert_eq!(served([1; 4], &relay).await, ['b'; 4]);
    relay.ended(4).await;
    for ended in relay.notes.ended_so_far() {
        assert_served(&ended, alive, 0, 1, CloseReason::ClientClosed);
    }
    assert_eq!(relay.target_changes(1).await, [format!("{} down", dead.port())]);
    let error = states(&relay)[0].error.clone().unwrap();
    assert!(error.contains("refused"), "{error}");
    assert_eq!(states(&relay)[1].error, None);
}

#[tokio::test]
async fn a_silent_target_leaves_the_next_one_time() {
    let silent = Silent::new();
    let relay = Relay::new();
    let mut service = behind("db", &[silent.address, echo(b"b").await], None);
    service.connect_timeout = Duration::from_millis(400);
    relay.publish(service).await;
    assert_eq!(served([1; 3], &relay).await, ['b'; 3]);
    let error = states(&relay)[0].error.clone().unwrap();
    assert!(error.contains("connect_timeout"), "{error}");
}

#[tokio::test]
async fn what_is_down_is_the_last_resort_and_up_when_it_serves() {
    let (one, other) = (dead(), dead());
    let relay = Relay::new();
    let address = relay.publish(behind("db", &[one, other], None)).await;
    assert_turned_away(LOCALHOST, address).await;
    relay.target_changes(2).await;
    let Outcome::Admitted { fate: Fate::BackendUnreachable { target, .. }, .. } =
        relay.first_ended().await.outcome
    else {
        panic!("not unreachable");
    };
    assert_eq!(target, other.to_string(), "the last one tried");
    let serving = greet_at(other).await;
    assert_eq!(served([1; 3], &relay).await, ['r'; 3]);
    let told = relay.target_changes(3).await;
    assert_eq!(told[2..], [format!("{} up", other.port())], "{told:?}");
    serving.abort();
}

/// Nobody connects but Weir itself.
#[tokio::test]
async fn a_probe_finds_that_a_target_dies_and_that_it_lives_again() {
    let (address, alive) = (dead(), echo(b"b").await);
    let serving = greet_at(address).await;
    let relay = Relay::new();
    relay.publish(behind("db", &[address, alive], OFTEN)).await;
    let (port, mut told) = (address.port(), Vec::new());
    let mut serving = Some(serving);
    for _ in 0..2 {
        if let Some(serving) = serving.take() {
            serving.abort();
            // The listener is closed when the task is over.
            let _ = serving.await;
        }
        told.push(format!("{port} down"));
        assert_eq!(relay.target_changes(told.len()).await, told);
        assert_eq!(served([1; 3], &relay).await, ['b'; 3]);
        serving = Some(greet_at(address).await);
        told.push(format!("{port} up"));
        assert_eq!(relay.target_changes(told.len()).await, told);
    }
    assert_eq!(served([1; 2], &relay).await.into_iter().filter(|by| *by == 'r').count(), 1);
}

#[tokio::test]
async fn a_reload_keeps_what_is_known_of_the_targets_that_stay() {
    let (dead, alive, new) = (dead(), echo(b"b").await, echo(b"c").await);
    let relay = Relay::new();
    let address = relay.publish(behind("db", &[dead, alive], None)).await;
    let (mut open, by) = greeting(LOCALHOST, address).await;
    assert_eq!(by, 'b');
    let before = states(&relay);
    relay.publish(behind("db", &[new, alive, dead], None)).await;
    let after = states(&relay);
    assert_eq!(after[1..], [before[1].clone(), before[0].clone()]);
    assert_eq!((after[0].sessions, after[0].error.as_deref()), (0, None));
    relay.publish(behind("db", &[new], None)).await;
    assert_eq!(states(&relay).len(), 1);
    assert_eq!(states(&relay)[0].sessions, 0, "the session is another target's");
    // It outlives its target's place in the list.
    assert_echoes(&mut open, b"still here").await;
    assert_eq!(served([1; 2], &relay).await, ['c'; 2]);
}

#[tokio::test]
async fn a_name_without_address_fails_nobody_elses_clients() {
    let nowhere = Target::Name { host: "weir-test.invalid".to_owned(), port: 1 };
    let relay = Relay::new();
    let alive = echo(b"b").await;
    let mut lost = service("lost", alive);
    lost.destination = nowhere.clone().into();
    lost.connect_timeout = Duration::from_millis(500);
    let mut mixed = behind("db", &[alive], None);
    mixed.listen[0].address = ListenAddress::One(OTHER);
    if let Destination::Targets(targets) = &mut mixed.destination {
        targets.list.insert(0, nowhere);
    }
    mixed.connect_timeout = Duration::from_secs(1);
    relay.listeners.apply(&[lost.into(), mixed.into()]).await.unwrap();
    let lost = relay.address("lost").await;
    let waiting = tokio::spawn(assert_turned_away(LOCALHOST, lost));
    assert_eq!(served([1; 3], &relay).await, ['b'; 3]);
    waiting.await.unwrap();
    assert!(states(&relay)[0].error.is_some());
}
