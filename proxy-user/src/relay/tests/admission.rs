//! Who is served at all.

use std::{num::NonZeroU32, time::Duration};

use proxy_common::reason::Reason;
use tokio::{net::TcpStream, time::timeout};

use super::support::*;
use crate::{
    record::CloseReason::{ClientClosed, PolicyChanged},
    relay::{Fate, Intake, Limits, Outcome},
};

#[tokio::test]
async fn a_denied_client_is_reset_and_the_target_sees_nothing() {
    let relay = Relay::new();
    let (listener, address) = target().await;
    relay.door.deny(OTHER);
    let service = relay.publish(service("db", address)).await;
    assert_turned_away(OTHER, service).await;
    relay.ended(1).await;
    let stats = relay.listeners.stats()["db"].clone();
    assert_eq!((stats.opened, stats.denied), (0, [(Reason::IpRestricted, 1)].into()));
    let ended = relay.only_ended().await;
    assert_eq!(ended.outcome, Outcome::Denied(Reason::IpRestricted));
    assert_eq!(ended.flow.client, OTHER.into());
    assert!(timeout(Duration::ZERO, listener.accept()).await.is_err());
}

#[tokio::test]
async fn a_new_policy_cuts_exactly_those_it_denies() {
    let relay = Relay::new();
    let target = echo(b"").await;
    let address = relay.publish(service("db", target)).await;
    let mut denied = connect_from(OTHER, address).await;
    let mut allowed = connect_from(LOCALHOST, address).await;
    assert_echoes(&mut denied, b"one").await;
    assert_echoes(&mut allowed, b"two").await;
    relay.listeners.rejudge();
    assert_echoes(&mut denied, b"one").await;
    relay.door.deny(OTHER);
    relay.listeners.rejudge();
    assert_reset(&mut denied).await;
    let first = relay.first_ended().await;
    assert_eq!(first.flow.client, OTHER.into());
    assert_served(&first, target, 6, 6, PolicyChanged);
    assert_echoes(&mut allowed, b"two").await;
    drop(allowed);
    relay.listeners.drain(PATIENCE).await;
    let ended = relay.notes.ended_so_far();
    assert_eq!(ended.len(), 2);
    assert_served(&ended[1], target, 6, 6, ClientClosed);
}

async fn a_second_session_is_over_the_limit(limits: Limits, max_connections: u32) {
    let relay = Relay::with(limits);
    let mut service = service("db", echo(b"").await);
    service.max_connections = NonZeroU32::new(max_connections).unwrap();
    let address = relay.publish(service).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    assert_echoes(&mut first, b"hello").await;
    assert_turned_away(LOCALHOST, address).await;
    let ended = relay.first_ended().await;
    let Outcome::Admitted { fate, .. } = ended.outcome else { panic!("{ended:?}") };
    assert_eq!(fate, Fate::ConnectionLimit);
    assert_eq!(relay.listeners.stats()["db"].active, 1);
    assert_eq!(relay.listeners.stats()["db"].opened, 1);

    drop(first);
    relay.ended(2).await;
    let mut third = connect_when_there_is_room(address).await;
    assert_echoes(&mut third, b"hello").await;
}

/// A place is free a moment after its session was reported.
async fn connect_when_there_is_room(address: std::net::SocketAddr) -> TcpStream {
    timeout(PATIENCE, async {
        loop {
            // Being turned away may be heard with the connection already.
            let Ok(client) = TcpStream::connect(address).await else { continue };
            let mut answer = [0];
            let _ = client.try_write(b"?");
            client.readable().await.unwrap();
            if matches!(client.try_read(&mut answer), Ok(1)) {
                return client;
            }
        }
    })
    .await
    .expect("no place became free")
}

#[tokio::test]
async fn max_connections_bounds_a_service() {
    a_second_session_is_over_the_limit(limits(10, 0), 1).await;
}

#[tokio::test]
async fn the_budget_bounds_all_services() {
    a_second_session_is_over_the_limit(limits(1, 0), 10).await;
}

#[tokio::test]
async fn nothing_is_served_while_records_cannot_be_written() {
    let relay = Relay::new();
    let address = relay.publish(service("db", echo(b"").await)).await;
    relay.listeners.set_intake(Intake::Refuse);
    assert_turned_away(LOCALHOST, address).await;
    assert_eq!(relay.only_ended().await.outcome, Outcome::Refused);
}
