//! Sessions that do not end in order.

use std::{io::ErrorKind, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncWriteExt, Interest},
    net::TcpStream,
    time::timeout,
};

use super::support::*;
use crate::{
    record::CloseReason::{
        ClientClosed, ClientReset, IdleTimeout, Interrupted, Shutdown, TargetReset,
    },
    relay::Intake,
};

#[tokio::test]
async fn a_reset_of_the_client_reaches_the_target() {
    let relay = Relay::new();
    let (listener, address) = target().await;
    let service = relay.publish(service("db", address)).await;
    let (mut client, mut target) = connect_through(service, &listener).await;
    client.write_all(b"hello").await.unwrap();
    assert_reads(&mut target, b"hello").await;
    reset(client);
    assert_reset(&mut target).await;
    assert_served(&relay.only_ended().await, address, 5, 0, ClientReset);
}

#[tokio::test]
async fn a_reset_of_the_target_reaches_the_client() {
    let relay = Relay::new();
    let (listener, address) = target().await;
    let service = relay.publish(service("db", address)).await;
    let (mut client, mut target) = connect_through(service, &listener).await;
    target.write_all(b"hello").await.unwrap();
    assert_reads(&mut client, b"hello").await;
    reset(target);
    assert_reset(&mut client).await;
    assert_served(&relay.only_ended().await, address, 0, 5, TargetReset);
}

#[tokio::test]
async fn a_reset_is_seen_on_a_half_closed_side() {
    let relay = Relay::new();
    let (listener, address) = target().await;
    let service = relay.publish(service("db", address)).await;
    let (mut client, mut target) = connect_through(service, &listener).await;
    client.shutdown().await.unwrap();
    assert_fin(&mut target).await;
    reset(client);
    // After a FIN, an RST shows in writes alone.
    timeout(PATIENCE, target.ready(Interest::ERROR)).await.expect("no RST").unwrap();
    let error = target.write_all(b"too late").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_served(&relay.only_ended().await, address, 0, 0, ClientReset);
}

#[tokio::test]
async fn an_idle_session_is_reset_on_both_sides() {
    let relay = Relay::new();
    let (listener, address) = target().await;
    let mut idle = service("db", address);
    idle.idle_timeout = Duration::from_millis(100);
    let (mut client, mut target) = connect_through(relay.publish(idle).await, &listener).await;
    client.write_all(b"hello").await.unwrap();
    assert_reads(&mut target, b"hello").await;
    assert_reset(&mut client).await;
    assert_reset(&mut target).await;
    let ended = relay.only_ended().await;
    assert_served(&ended, address, 5, 0, IdleTimeout);
    assert!(ended.ended - ended.started >= Duration::from_millis(100));
}

#[tokio::test]
async fn draining_refuses_the_new_and_lets_the_old_finish() {
    let relay = Arc::new(Relay::new());
    let target = echo(b"").await;
    let address = relay.publish(service("db", target)).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let port = client.local_addr().unwrap().port();
    assert_echoes(&mut client, b"before").await;
    let draining = Arc::clone(&relay);
    let drain = tokio::spawn(async move { draining.listeners.drain(PATIENCE).await });
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_echoes(&mut client, b"after").await;
    assert!(!drain.is_finished());
    drop(client);
    drain.await.unwrap();
    let ended = relay.notes.ended_so_far();
    let first = ended.iter().find(|ended| ended.flow.client_port == port).unwrap();
    assert_served(first, target, 11, 11, ClientClosed);
}

#[tokio::test]
async fn what_outlasts_the_grace_is_reset() {
    let relay = Relay::new();
    let target = echo(b"").await;
    let address = relay.publish(service("db", target)).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_echoes(&mut client, b"hello").await;
    relay.listeners.drain(Duration::from_millis(50)).await;
    assert_reset(&mut client).await;
    assert_served(&relay.only_ended().await, target, 5, 5, Shutdown);
}

#[test]
fn a_session_whose_task_is_dropped_is_still_reported() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let relay = Relay::new();
    let notes = Arc::clone(&relay.notes);
    let (_client, target) = runtime.block_on(async {
        let target = echo(b"").await;
        let address = relay.publish(service("db", target)).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        assert_echoes(&mut client, b"hello").await;
        (client, target)
    });
    drop(relay);
    let ended = notes.ended_so_far();
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_served(&ended[0], target, 5, 5, Interrupted);
}

#[tokio::test]
async fn a_held_connection_is_served_later() {
    let relay = Relay::new();
    let target = echo(b"").await;
    let address = relay.publish(service("db", target)).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    assert_echoes(&mut first, b"hello").await;
    relay.listeners.set_intake(Intake::Hold);
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"patient").await.unwrap();
    assert_echoes(&mut first, b"hello").await;
    assert_eq!(relay.listeners.stats()["db"].opened, 1);
    relay.listeners.set_intake(Intake::Accept);
    assert_reads(&mut client, b"patient").await;
}
