//! What passes, and how.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

use super::support::*;
use crate::{
    config::ListenAddress,
    record::CloseReason::{IdleTimeout, Shutdown},
    relay::{Bytes, Datagrams},
};

#[tokio::test]
async fn datagrams_of_every_size_pass_both_ways() {
    let relay = Relay::new();
    let address = relay.publish(udp("dns", udp_echo().await)).await;
    let client = client(LOCALHOST, address).await;
    let sizes = [0, 1, 512, 1472, 1473, 9000, 65_507];
    for size in sizes {
        assert_echoed(&client, &vec![7; size]).await;
    }
    let (bytes, datagrams, _) = passed(&only_session(relay).await);
    let all = sizes.iter().sum::<usize>() as u64;
    assert_eq!(bytes, Bytes { up: all, down: all });
    let count = sizes.len() as u64;
    assert_eq!(datagrams, Datagrams { up: count, down: count, undelivered: 0 });
}

#[tokio::test]
async fn a_session_may_begin_with_an_empty_datagram() {
    let relay = Relay::new();
    let target = udp_echo().await;
    let client = client(LOCALHOST, relay.publish(udp("dns", target)).await).await;
    assert_echoed(&client, b"").await;
    assert_served(&only_session(relay).await, target, 0, 0, Shutdown);
}

#[tokio::test]
async fn answers_come_from_the_address_that_was_written_to() {
    let relay = Relay::new();
    let port = free_port();
    let service = udp("dns", udp_echo().await);
    relay.publish(on(ListenAddress::Any, port, service)).await;
    let (v4, v6) = (socket("0.0.0.0:0").await, socket("[::]:0").await);
    let addresses = [
        (&v4, IpAddr::from([127, 0, 0, 1])),
        (&v4, IpAddr::from([127, 0, 0, 2])),
        (&v6, IpAddr::from(Ipv6Addr::LOCALHOST)),
    ];
    for (client, address) in addresses {
        let address = SocketAddr::new(address, port);
        client.send_to(b"who is there?", address).await.unwrap();
        let (answer, from) = receive_from(client).await;
        assert_eq!((answer.as_slice(), from), (b"who is there?".as_slice(), address));
    }
    relay.listeners.drain(Duration::ZERO).await;
    let ended = relay.notes.ended_so_far();
    let mut reached: Vec<IpAddr> = ended.iter().map(|e| e.flow.service.into()).collect();
    reached.sort();
    assert_eq!(reached, addresses.map(|(_, address)| address));
}

#[tokio::test]
async fn each_client_and_each_address_it_writes_to_is_a_session() {
    let relay = Relay::new();
    let port = free_port();
    let service = udp("dns", witness("").await);
    relay.publish(on(ListenAddress::AnyV4, port, service)).await;
    let clients = [socket("127.0.0.1:0").await, socket("127.0.0.1:0").await];
    let mut seen = Vec::new();
    for client in &clients {
        for address in [[127, 0, 0, 1], [127, 0, 0, 2]] {
            let address = SocketAddr::from((address, port));
            for _ in 0..2 {
                client.send_to(b"?", address).await.unwrap();
                let (answer, from) = receive_from(client).await;
                assert_eq!(from, address);
                seen.push(answer);
            }
        }
    }
    assert!(seen.chunks(2).all(|pair| pair[0] == pair[1]), "a session has one socket");
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), relay.listeners.stats()["dns"].active), (4, 4));
}

/// Sizes in runs that are worth bundling, and others.
fn mixed() -> Vec<Vec<u8>> {
    let runs = [(1200, 20), (7, 1), (1200, 3), (0, 2), (900, 5), (1400, 1), (9000, 4), (1, 30)];
    let one = |(size, count): (usize, usize)| (0..count).map(move |_| size);
    let sizes = runs.into_iter().flat_map(one);
    sizes.enumerate().map(|(n, size)| vec![u8::try_from(n).unwrap(); size]).collect()
}

#[tokio::test]
async fn bursts_keep_their_order_and_their_borders() {
    let relay = Relay::new();
    let client = client(LOCALHOST, relay.publish(udp("dns", udp_echo().await)).await).await;
    let burst = mixed();
    for _ in 0..10 {
        for datagram in &burst {
            client.send(datagram).await.unwrap();
        }
        for datagram in &burst {
            let answer = receive(&client).await;
            assert!(answer == *datagram, "{} bytes for {}", answer.len(), datagram.len());
        }
    }
    let (bytes, datagrams, _) = passed(&only_session(relay).await);
    let (all, count) = (burst.iter().map(Vec::len).sum::<usize>() as u64, burst.len() as u64);
    assert_eq!(bytes, Bytes { up: 10 * all, down: 10 * all });
    assert_eq!(datagrams, Datagrams { up: 10 * count, down: 10 * count, undelivered: 0 });
}

#[tokio::test]
async fn what_the_kernel_joins_is_divided_again() {
    let relay = Relay::new();
    let (target, address) = silent().await;
    let client = client(LOCALHOST, relay.publish(udp("dns", address)).await).await;
    let payload: Vec<u8> = (0..40_500).map(|n: u32| n.to_le_bytes()[1]).collect();
    client.send(b"hello").await.unwrap();
    receive(&target).await;
    for size in [1000, 7000, 30_000] {
        setsockopt(&client, UdpGsoSegment, &size).unwrap();
        client.send(&payload).await.unwrap();
        for part in payload.chunks(usize::try_from(size).unwrap()) {
            assert!(receive(&target).await == part);
        }
    }
    let (bytes, datagrams, _) = passed(&only_session(relay).await);
    assert_eq!((bytes.up, datagrams.up), (5 + 3 * 40_500, 1 + 41 + 6 + 2));
}

#[tokio::test]
async fn what_is_too_large_for_the_path_is_counted() {
    let relay = Relay::new();
    let target = udp_echo().await;
    let service =
        on(ListenAddress::One(Ipv6Addr::LOCALHOST.into()), free_port(), udp("dns", target));
    let client = client(Ipv6Addr::LOCALHOST.into(), relay.publish(service).await).await;
    // The most that IPv6 carries is more than the most that IPv4 does.
    client.send(&vec![1; 65_527]).await.unwrap();
    assert_echoed(&client, b"small").await;
    let (bytes, datagrams, _) = passed(&only_session(relay).await);
    assert_eq!(bytes, Bytes { up: 5, down: 5 });
    assert_eq!(datagrams, Datagrams { up: 1, down: 1, undelivered: 1 });
}

#[tokio::test]
async fn answers_alone_and_questions_alone_keep_a_session() {
    let relay = Relay::new();
    let (target, address) = silent().await;
    let mut service = udp("dns", address);
    service.idle_timeout = Duration::from_millis(200);
    let client = client(IpAddr::V4(Ipv4Addr::LOCALHOST), relay.publish(service).await).await;
    let (mut sent, mut ticks) = (0, tokio::time::interval(Duration::from_millis(20)));
    let upstream = loop {
        ticks.tick().await;
        client.send(b"question").await.unwrap();
        sent += 1;
        let (_, from) = receive_from(&target).await;
        if sent == 30 {
            break from;
        }
    };
    for _ in 0..30 {
        ticks.tick().await;
        target.send_to(b"answer", upstream).await.unwrap();
        assert_eq!(receive(&client).await, b"answer");
    }
    assert!(relay.notes.ended_so_far().is_empty());
    // Without payload nothing is kept.
    let ended = loop {
        ticks.tick().await;
        client.send(b"").await.unwrap();
        if let Some(ended) = relay.notes.ended_so_far().pop() {
            break ended;
        }
    };
    assert_served(&ended, address, 30 * 8, 30 * 6, IdleTimeout);
}
