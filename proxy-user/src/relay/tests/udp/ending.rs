//! How sessions end.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::support::*;
use crate::record::CloseReason::{IdleTimeout, Interrupted, Shutdown, TargetReset};

#[tokio::test]
async fn an_idle_session_ends_and_the_next_datagram_begins_another() {
    let relay = Relay::new();
    let target = udp_echo().await;
    let mut service = udp("dns", target);
    service.idle_timeout = Duration::from_millis(100);
    let client = client(LOCALHOST, relay.publish(service).await).await;
    for number in 1..=3 {
        assert_echoed(&client, b"hello").await;
        relay.ended(number).await;
    }
    for ended in relay.notes.ended_so_far() {
        assert_served(&ended, target, 5, 5, IdleTimeout);
        assert!(ended.ended - ended.started >= Duration::from_millis(100));
    }
}

#[tokio::test]
async fn a_target_that_goes_away_after_an_answer_resets_the_session() {
    let relay = Relay::new();
    let (target, address) = silent().await;
    let client = client(LOCALHOST, relay.publish(udp("dns", address)).await).await;
    client.send(b"hello").await.unwrap();
    let (_, upstream) = receive_from(&target).await;
    target.send_to(b"bye", upstream).await.unwrap();
    assert_eq!(receive(&client).await, b"bye");
    drop(target);
    client.send(b"hello?").await.unwrap();
    let ended = relay.first_ended().await;
    assert_served(&ended, address, 11, 3, TargetReset);
}

#[tokio::test]
async fn draining_ends_who_is_silent_and_nothing_new_begins() {
    let relay = Relay::new();
    let target = udp_echo().await;
    let address = relay.publish(udp("dns", target)).await;
    let client = client(LOCALHOST, address).await;
    assert_echoed(&client, b"hello").await;
    let started = Instant::now();
    relay.listeners.drain(PATIENCE).await;
    assert!(started.elapsed() < PATIENCE / 2, "a second's silence is enough");
    assert_refused(&client).await;
    std::net::UdpSocket::bind(address).unwrap();
    assert_served(&relay.only_ended().await, target, 5, 5, Shutdown);
}

#[tokio::test]
async fn answers_still_pass_while_draining_until_the_grace_is_over() {
    let relay = Arc::new(Relay::new());
    let (target, address) = silent().await;
    let client = client(LOCALHOST, relay.publish(udp("dns", address)).await).await;
    client.send(b"hello").await.unwrap();
    let (_, upstream) = receive_from(&target).await;
    let draining = Arc::clone(&relay);
    let drain = tokio::spawn(async move { draining.listeners.drain(LONG_SILENCE).await });
    let mut answers = 0;
    while !drain.is_finished() {
        if target.send_to(b"more", upstream).await.is_ok() {
            answers += usize::from(client.try_recv(&mut [0; 10]).is_ok());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(answers > 100, "{answers}");
    let ended = relay.first_ended().await;
    assert_eq!(passed(&ended).2, Shutdown);
    assert!(ended.ended - ended.started >= LONG_SILENCE);
}

/// Longer than who is silent may stay.
const LONG_SILENCE: Duration = Duration::from_secs(2);

#[test]
fn a_session_whose_task_is_dropped_is_still_reported() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let relay = Relay::new();
    let notes = Arc::clone(&relay.notes);
    let target = runtime.block_on(async {
        let target = udp_echo().await;
        let client = client(LOCALHOST, relay.publish(udp("dns", target)).await).await;
        assert_echoed(&client, b"hello").await;
        target
    });
    drop(relay);
    let ended = notes.ended_so_far();
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_served(&ended[0], target, 5, 5, Interrupted);
}
