//! Reloads touch what changed, and nothing else.

use std::{
    net::{SocketAddr, UdpSocket as StdSocket},
    sync::Arc,
    time::Duration,
};

use super::support::*;
use crate::{
    config::{Destination, ListenAddress},
    record::CloseReason::{IdleTimeout, ServiceRemoved},
};

#[tokio::test]
async fn a_changed_service_keeps_its_socket_and_its_sessions() {
    let relay = Relay::new();
    let (old, new) = (witness("old").await, witness("new").await);
    let address = relay.publish(udp("dns", old)).await;
    let before = client(LOCALHOST, address).await;
    let answer = ask(&before, b"?").await;
    assert!(answer.starts_with("old"), "{answer}");
    assert_eq!(relay.publish(udp("dns", new)).await, address);
    let after = client(LOCALHOST, address).await;
    assert!(ask(&after, b"?").await.starts_with("new"));
    assert_eq!(ask(&before, b"?").await, answer);
    assert!(relay.notes.ended_so_far().is_empty());
}

#[tokio::test]
async fn a_shorter_idle_timeout_holds_for_open_sessions() {
    let relay = Relay::new();
    let target = udp_echo().await;
    let client = client(LOCALHOST, relay.publish(udp("dns", target)).await).await;
    assert_echoed(&client, b"hello").await;
    let mut shorter = udp("dns", target);
    shorter.idle_timeout = Duration::from_millis(50);
    relay.publish(shorter).await;
    assert_served(&relay.first_ended().await, target, 5, 5, IdleTimeout);
}

#[tokio::test]
async fn a_removed_service_refuses_and_its_sessions_are_reported() {
    let relay = Relay::new();
    let target = udp_echo().await;
    let (gone, kept) = (Arc::new(udp("gone", target)), {
        Arc::new(on(ListenAddress::AnyV4, free_port(), udp("kept", target)))
    });
    relay.listeners.apply(&[Arc::clone(&gone), Arc::clone(&kept)]).await.unwrap();
    let removed = relay.address("gone").await;
    let port = relay.address("kept").await.port();
    let (one, other) =
        (client(LOCALHOST, removed).await, client(OTHER, (OTHER, port).into()).await);
    assert_echoed(&one, b"hello").await;
    assert_echoed(&other, b"hello").await;

    relay.listeners.apply(&[kept]).await.unwrap();
    StdSocket::bind(removed).expect("the port is free");
    assert_refused(&one).await;
    assert_served(&relay.first_ended().await, target, 5, 5, ServiceRemoved);
    assert_echoed(&other, b"hello").await;
    assert_eq!(relay.notes.ended_so_far().len(), 1);
    assert!(!relay.listeners.stats().contains_key("gone"));
}

#[tokio::test]
async fn a_service_that_becomes_a_guard_leaves_its_port() {
    let relay = Relay::new();
    let mut changed = udp("dns", udp_echo().await);
    let address = relay.publish(changed.clone()).await;
    changed.destination = Destination::Host;
    relay.listeners.apply(&[Arc::new(changed)]).await.unwrap();
    StdSocket::bind(address).unwrap();
}

#[tokio::test]
async fn a_renamed_service_keeps_the_socket_but_not_the_sessions() {
    let relay = Relay::new();
    let target = witness("").await;
    let address = relay.publish(udp("old", target)).await;
    let client = client(LOCALHOST, address).await;
    let answer = ask(&client, b"?").await;
    assert_eq!(relay.publish(udp("new", target)).await, address);
    let ended = relay.first_ended().await;
    assert_eq!(passed(&ended).2, ServiceRemoved);
    assert_eq!(ended.service.expect("one was chosen").name, "old");
    assert_ne!(ask(&client, b"?").await, answer);
    assert_eq!(relay.listeners.stats()["new"].opened, 1);
}

#[tokio::test]
async fn streams_that_become_datagrams_are_another_service() {
    let relay = Relay::new();
    let address = relay.publish(service("it", echo(b"").await)).await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    assert_echoes(&mut stream, b"hello").await;
    let address = relay.publish(udp("it", udp_echo().await)).await;
    assert_reset(&mut stream).await;
    assert_echoed(&client(LOCALHOST, address).await, b"hello").await;
}

#[tokio::test]
async fn a_port_that_cannot_be_had_changes_nothing() {
    let relay = Relay::new();
    let address = relay.publish(udp("dns", witness("old").await)).await;
    let client = client(LOCALHOST, address).await;
    let answer = ask(&client, b"?").await;
    let holder = StdSocket::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    for address in [ListenAddress::One(LOCALHOST), ListenAddress::AnyV4] {
        let changed = on(address, taken.port(), udp("dns", witness("new").await));
        let error = relay.listeners.apply(&[Arc::new(changed)]).await.unwrap_err();
        assert_eq!(error.source.kind(), std::io::ErrorKind::AddrInUse);
    }
    assert_eq!(ask(&client, b"?").await, answer);
}

#[tokio::test]
async fn a_socket_is_replaced_by_a_narrower_and_a_wider_one_and_sessions_go_on() {
    let relay = Relay::new();
    let (port, target) = (free_port(), witness("").await);
    let listening = |address| on(address, port, udp("dns", target));
    relay.publish(listening(ListenAddress::AnyV4)).await;
    let (stays, goes) = (
        client(LOCALHOST, SocketAddr::from((LOCALHOST, port))).await,
        client(LOCALHOST, SocketAddr::from((OTHER, port))).await,
    );
    let (answer, _) = (ask(&stays, b"?").await, ask(&goes, b"?").await);
    for round in 0..3 {
        relay.publish(listening(ListenAddress::One(LOCALHOST))).await;
        assert_refused(&goes).await;
        relay.ended(round + 1).await;
        assert_eq!(ask(&stays, b"?").await, answer);
        relay.publish(listening(ListenAddress::AnyV4)).await;
        assert_eq!(ask(&stays, b"?").await, answer);
        ask(&goes, b"?").await;
    }
    let ended = relay.notes.ended_so_far();
    assert_eq!(ended.len(), 3);
    assert!(ended.iter().all(|ended| passed(ended).2 == ServiceRemoved));
    relay.listeners.apply(&[]).await.unwrap();
    StdSocket::bind(("0.0.0.0", port)).expect("nothing is left of any");
}

#[tokio::test]
async fn an_abandoned_change_gives_its_ports_back() {
    let relay = Relay::new();
    let (port, added) = (free_port(), free_port());
    relay.publish(on(ListenAddress::AnyV4, port, udp("dns", witness("").await))).await;
    let client = client(LOCALHOST, (LOCALHOST, port).into()).await;
    let answer = ask(&client, b"?").await;
    let one = ListenAddress::One(LOCALHOST);
    let services = [on(one, port, udp("a", LOCALHOST_9)), on(one, added, udp("b", LOCALHOST_9))];
    let services = services.map(Arc::new);
    relay.listeners.prepare(&services).await.unwrap().abandon();
    StdSocket::bind((LOCALHOST, added)).unwrap();
    assert_eq!(ask(&client, b"?").await, answer);
}

const LOCALHOST_9: SocketAddr = SocketAddr::new(LOCALHOST, 9);
