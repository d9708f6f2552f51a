//! Targets that are dead, slow or nowhere.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::support::*;
use crate::{
    config::{ListenAddress, Mode, Service, Target},
    record::CloseReason::Shutdown,
    relay::{
        Fate,
        tests::backends::{behind, dead},
    },
};

#[tokio::test]
async fn a_target_that_refuses_is_unreachable() {
    let relay = Relay::new();
    let address = dead();
    let client = client(LOCALHOST, relay.publish(udp("dns", address)).await).await;
    client.send(b"hello").await.unwrap();
    let ended = relay.only_ended().await;
    let Fate::BackendUnreachable { target, error } = fate(&ended) else { panic!("{ended:?}") };
    assert_eq!(*target, address.to_string());
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn who_goes_on_sending_to_a_dead_target_makes_few_records() {
    let relay = Relay::new();
    let client = client(LOCALHOST, relay.publish(udp("dns", dead())).await).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    for _ in 0..1000 {
        ticks.tick().await;
        client.send(b"hello").await.unwrap();
    }
    relay.listeners.drain(PATIENCE).await;
    let ended = relay.notes.ended_so_far();
    assert!(ended.iter().all(|ended| matches!(fate(ended), Fate::BackendUnreachable { .. })));
    let time = ended.last().unwrap().ended - ended[0].started;
    assert!(ended.len() as u128 <= time.as_millis() / 250 + 1, "{} in {time:?}", ended.len());
}

#[tokio::test]
async fn a_session_goes_on_to_the_next_target() {
    let relay = Relay::new();
    let (gone, there) = (dead(), udp_echo().await);
    let service = Service { mode: Mode::Udp, ..behind("dns", &[gone, there], None) };
    let address = relay.publish(service).await;
    let client = client(LOCALHOST, address).await;
    // What was sent to the first is lost, as it is anywhere: the client tries again.
    let answer = async {
        loop {
            client.send(b"hello").await.unwrap();
            if let Ok(answer) = timeout(Duration::from_millis(20), receive(&client)).await {
                return answer;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, answer).await.expect("no answer"), b"hello");
    assert_eq!(relay.target_changes(1).await, [format!("{} down", gone.port())]);
    // The next client is spared the detour.
    let next = super::support::client(LOCALHOST, address).await;
    assert_echoed(&next, b"hello").await;
    relay.listeners.drain(Duration::ZERO).await;
    let ended = relay.notes.ended_so_far();
    assert_eq!(ended.len(), 2);
    for ended in ended {
        let Fate::Served { target, .. } = fate(&ended) else { panic!("{ended:?}") };
        assert_eq!((*target, passed(&ended).2), (there, Shutdown));
    }
}

#[tokio::test]
async fn a_target_that_is_nowhere_stalls_nobody_else() {
    let relay = Relay::new();
    let lost = Service {
        destination: Target::Name { host: "nowhere.invalid".to_owned(), port: 53 }.into(),
        connect_timeout: Duration::from_secs(1),
        ..udp("lost", LOCALHOST_9)
    };
    let found = on(ListenAddress::One(OTHER), free_port(), udp("found", udp_echo().await));
    relay.listeners.apply(&[Arc::new(lost), Arc::new(found)]).await.unwrap();
    let (lost, found) = (relay.address("lost").await, relay.address("found").await);
    let mut waiting = Vec::new();
    for _ in 0..40 {
        let client = client(LOCALHOST, lost).await;
        client.send(b"hello").await.unwrap();
        waiting.push(client);
    }
    assert_echoed(&client(OTHER, found).await, b"hello").await;
    relay.ended(waiting.len()).await;
    for ended in relay.notes.ended_so_far() {
        match fate(&ended) {
            Fate::BackendUnreachable { target, .. } | Fate::BackendTimeout { target } => {
                assert_eq!(target, "nowhere.invalid:53");
            }
            fate => panic!("{fate:?}"),
        }
    }
}

const LOCALHOST_9: std::net::SocketAddr = std::net::SocketAddr::new(LOCALHOST, 9);

#[tokio::test]
async fn what_comes_before_the_name_is_resolved_waits() {
    let relay = Relay::new();
    let mut service = udp("dns", LOCALHOST_9);
    let (target, address) = silent().await;
    let name = Target::Name { host: "localhost".to_owned(), port: address.port() };
    service.destination = name.into();
    let client = client(LOCALHOST, relay.publish(service).await).await;
    let first = [b"one".as_slice(), b"two", b"", b"three"];
    for datagram in first {
        client.send(datagram).await.unwrap();
    }
    for datagram in first {
        assert_eq!(receive(&target).await, datagram);
    }
}
