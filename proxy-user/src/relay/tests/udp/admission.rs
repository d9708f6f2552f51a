//! Who is served at all.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    time::Duration,
};

use proxy_common::{address::PROTOCOL_UDP, reason::Reason};
use tokio::time::Instant;

use super::support::*;
use crate::{
    config::ListenAddress,
    record::CloseReason::PolicyChanged,
    relay::{Fate, Intake, Limits, Outcome},
};

#[tokio::test]
async fn a_denied_client_is_told_once_and_the_target_sees_nothing() {
    let relay = Relay::new();
    let (target, address) = silent().await;
    relay.door.deny(OTHER);
    let address = relay.publish(udp("dns", address)).await;
    let (denied, allowed) = (client(OTHER, address).await, client(LOCALHOST, address).await);
    for _ in 0..5 {
        denied.send(b"let me in").await.unwrap();
    }
    allowed.send(b"hello").await.unwrap();
    assert_eq!(receive(&target).await, b"hello");
    assert_silence(&target);
    let ended = relay.first_ended().await;
    assert_eq!(ended.outcome, Outcome::Denied(Reason::IpRestricted));
    let port = denied.local_addr().unwrap().port();
    assert_eq!((ended.flow.client, ended.flow.client_port), (OTHER.into(), port));
    assert_eq!((ended.flow.service, ended.flow.service_port), (LOCALHOST.into(), address.port()));
    assert_eq!(ended.flow.protocol, u32::from(PROTOCOL_UDP));
    let stats = relay.listeners.stats()["dns"].clone();
    assert_eq!((stats.opened, stats.denied), (1, [(Reason::IpRestricted, 1)].into()));
    assert_eq!(relay.notes.ended_so_far().len(), 1);
}

#[tokio::test]
async fn a_flood_of_denied_clients_adds_up() {
    const CLIENTS: u32 = 3000;
    let relay = Relay::new();
    let started = Instant::now();
    let address = relay.publish(udp("dns", silent().await.1)).await;
    for number in 0..CLIENTS {
        let from = IpAddr::from(Ipv4Addr::from(0x7f10_0000 + number));
        relay.door.deny(from);
        let socket = std::net::UdpSocket::bind((from, 0)).unwrap();
        // Twice: the same attempt.
        assert!((0..2).all(|_| socket.send_to(b"let me in", address).is_ok()));
    }
    relay.told(CLIENTS.into()).await;
    relay.listeners.drain(Duration::ZERO).await;
    let (singles, rest) = (relay.notes.ended_so_far().len(), relay.notes.refused_so_far());
    assert_eq!(singles as u64 + rest, u64::from(CLIENTS));
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!(singles <= 1000 * (seconds + 1), "{singles} in {seconds} s");
    assert_eq!(relay.listeners.stats()["dns"].denied, [(Reason::IpRestricted, 3000)].into());
}

#[tokio::test]
async fn a_new_policy_cuts_exactly_those_it_denies() {
    let relay = Relay::new();
    let target = udp_echo().await;
    let address = relay.publish(udp("dns", target)).await;
    let (denied, allowed) = (client(OTHER, address).await, client(LOCALHOST, address).await);
    assert_echoed(&denied, b"one").await;
    assert_echoed(&allowed, b"two").await;
    relay.door.deny(OTHER);
    relay.listeners.rejudge();
    let first = relay.first_ended().await;
    assert_eq!(first.flow.client, OTHER.into());
    assert_served(&first, target, 3, 3, PolicyChanged);
    denied.send(b"one more").await.unwrap();
    relay.ended(2).await;
    assert_eq!(relay.notes.ended_so_far()[1].outcome, Outcome::Denied(Reason::IpRestricted));
    assert_echoed(&allowed, b"two").await;
    assert_silence(&denied);
    assert_eq!(relay.notes.ended_so_far().len(), 2);
}

async fn some_sessions_are_over_the_limit(limits: Limits, max_connections: u32) {
    let relay = Relay::with(limits);
    let mut service = udp("dns", udp_echo().await);
    service.max_connections = NonZeroU32::new(max_connections).unwrap();
    service.idle_timeout = Duration::from_millis(500);
    let address = relay.publish(service).await;
    let (first, second) = (client(LOCALHOST, address).await, client(LOCALHOST, address).await);
    assert_echoed(&first, b"one").await;
    assert_echoed(&second, b"two").await;
    let third = client(LOCALHOST, address).await;
    for _ in 0..3 {
        third.send(b"three").await.unwrap();
    }
    let ended = relay.first_ended().await;
    assert_eq!(*fate(&ended), Fate::ConnectionLimit);
    assert_eq!(ended.flow.client_port, third.local_addr().unwrap().port());
    assert_eq!(relay.listeners.stats()["dns"].opened, 2);
    assert_silence(&third);

    // Both are silent, and give their places back.
    relay.ended(3).await;
    while relay.listeners.stats()["dns"].active > 0 {
        tokio::task::yield_now().await;
    }
    assert_echoed(&third, b"three").await;
    assert_eq!(relay.notes.ended_so_far().len(), 3, "turned away three times, told once");
}

#[tokio::test]
async fn max_connections_bounds_a_service() {
    some_sessions_are_over_the_limit(limits(10, 0), 2).await;
}

#[tokio::test]
async fn the_budget_bounds_all_services() {
    some_sessions_are_over_the_limit(limits(1, 0), 10).await;
}

#[tokio::test]
async fn nobody_new_is_served_while_records_cannot_be_written() {
    let relay = Relay::new();
    let address = relay.publish(udp("dns", udp_echo().await)).await;
    let (old, new) = (client(LOCALHOST, address).await, client(LOCALHOST, address).await);
    assert_echoed(&old, b"hello").await;
    relay.listeners.set_intake(Intake::Refuse);
    for _ in 0..3 {
        new.send(b"hello").await.unwrap();
    }
    assert_eq!(relay.first_ended().await.outcome, Outcome::Refused);
    assert_echoed(&old, b"hello").await;
    assert_silence(&new);
    assert_eq!(relay.notes.ended_so_far().len(), 1);
}

#[tokio::test]
async fn who_comes_while_a_policy_changes_is_judged_by_the_new_one() {
    let relay = Relay::new();
    let address = relay.publish(udp("dns", udp_echo().await)).await;
    let (old, new) = (client(LOCALHOST, address).await, client(LOCALHOST, address).await);
    let denied = client(OTHER, address).await;
    assert_echoed(&old, b"hello").await;
    relay.listeners.set_intake(Intake::Hold);
    new.send(b"patient").await.unwrap();
    new.send(b"and in order").await.unwrap();
    denied.send(b"late").await.unwrap();
    // Open sessions go on.
    assert_echoed(&old, b"still here").await;
    assert_eq!(relay.listeners.stats()["dns"].opened, 1);
    relay.door.deny(OTHER);
    relay.listeners.set_intake(Intake::Accept);
    assert_eq!(receive(&new).await, b"patient");
    assert_eq!(receive(&new).await, b"and in order");
    assert_eq!(relay.first_ended().await.outcome, Outcome::Denied(Reason::IpRestricted));
}

#[tokio::test]
async fn streams_and_datagrams_share_a_port() {
    let relay = Relay::new();
    let port = free_port();
    let streams = on(ListenAddress::One(LOCALHOST), port, service("web", echo(b"").await));
    let datagrams = on(ListenAddress::One(LOCALHOST), port, udp("dns", udp_echo().await));
    relay.listeners.apply(&[streams.into(), datagrams.into()]).await.unwrap();
    let address = (LOCALHOST, port).into();
    assert_echoed(&client(LOCALHOST, address).await, b"datagram").await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    assert_echoes(&mut stream, b"stream").await;
    let stats = relay.listeners.stats();
    assert_eq!((stats["web"].opened, stats["dns"].opened), (1, 1));
}
