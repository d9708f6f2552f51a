//! Many sessions, at once and one after another.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};

use tokio::net::UdpSocket;

use super::support::*;
use crate::{
    config::{ListenAddress, Service},
    record::CloseReason::IdleTimeout,
    relay::limits::raise,
};

/// What is under way at a time, so that no socket's buffer is full.
const WINDOW: u32 = 50;

/// A service of every address, each of which makes another session of one client.
async fn wide(port: u16, idle_timeout: Duration) -> Service {
    let service = udp("dns", udp_echo().await);
    let max_connections = NonZeroU32::new(30_000).unwrap();
    on(ListenAddress::AnyV4, port, Service { idle_timeout, max_connections, ..service })
}

/// The address of session `number`.
fn address(number: u32, port: u16) -> SocketAddr {
    (Ipv4Addr::from(0x7f20_0000 + number), port).into()
}

/// Has these sessions pass a datagram each way.
async fn echo_each(client: &UdpSocket, numbers: std::ops::Range<u32>, port: u16) {
    for number in numbers.clone() {
        client.send_to(&number.to_be_bytes(), address(number, port)).await.unwrap();
    }
    for _ in numbers {
        let (answer, from) = receive_from(client).await;
        let number = u32::from_be_bytes(answer.try_into().unwrap());
        assert_eq!(from, address(number, port));
    }
}

#[tokio::test]
async fn five_thousand_sessions_at_once() {
    const SESSIONS: u32 = 5000;
    raise().unwrap();
    let relay = Relay::with(limits(5000, 0));
    let port = free_port();
    relay.publish(wide(port, PATIENCE).await).await;
    let client = socket("127.0.0.1:0").await;
    for round in 1..=2 {
        for first in (0..SESSIONS).step_by(WINDOW as usize) {
            echo_each(&client, first..first + WINDOW, port).await;
        }
        let stats = relay.listeners.stats()["dns"].clone();
        assert_eq!((stats.active, stats.opened), (SESSIONS, SESSIONS.into()), "round {round}");
    }
    relay.listeners.drain(Duration::ZERO).await;
    let ended = relay.notes.ended_so_far();
    assert_eq!(ended.len(), SESSIONS as usize);
    for ended in &ended {
        let (bytes, datagrams, _) = passed(ended);
        assert_eq!((bytes.up, bytes.down, datagrams.up, datagrams.down), (8, 8, 2, 2));
    }
}

#[tokio::test]
async fn twenty_thousand_short_sessions_one_after_another() {
    const SESSIONS: u32 = 20_000;
    /// So that places suffice, however busy the host is.
    const OPEN: usize = 4000;
    let relay = Relay::with(limits(5000, 0));
    raise().unwrap();
    let port = free_port();
    relay.publish(wide(port, Duration::from_millis(400)).await).await;
    let client = socket("127.0.0.1:0").await;
    for first in (0..SESSIONS).step_by(WINDOW as usize) {
        relay.ended((first as usize).saturating_sub(OPEN)).await;
        echo_each(&client, first..first + WINDOW, port).await;
    }
    relay.ended(SESSIONS as usize).await;
    let ended = relay.notes.ended_so_far();
    assert_eq!(ended.len(), SESSIONS as usize);
    assert!(ended.iter().all(|ended| passed(ended).2 == IdleTimeout));
    let stats = relay.listeners.stats()["dns"].clone();
    assert_eq!((stats.opened, stats.bytes.up), (SESSIONS.into(), u64::from(SESSIONS) * 4));
}
