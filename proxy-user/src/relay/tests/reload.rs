//! Reloads touch what changed, and nothing else.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{net::TcpStream, time::timeout};

use super::support::*;
use crate::{
    config::{Destination, Listen, ListenAddress, Service},
    record::CloseReason::{IdleTimeout, ServiceRemoved},
};

async fn assert_refuses(address: SocketAddr) {
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_changed_service_keeps_its_socket_and_its_sessions() {
    let relay = Relay::new();
    let (old, new) = (echo(b"old").await, echo(b"new").await);
    let address = relay.publish(service("db", old)).await;
    let mut before = TcpStream::connect(address).await.unwrap();
    assert_reads(&mut before, b"old").await;
    assert_eq!(relay.publish(service("db", new)).await, address);
    let mut after = TcpStream::connect(address).await.unwrap();
    assert_reads(&mut after, b"new").await;
    assert_echoes(&mut before, b"still here").await;
    assert_eq!(relay.listeners.stats()["db"].opened, 2);
    assert!(relay.notes.ended_so_far().is_empty());
}

#[tokio::test]
async fn a_shorter_idle_timeout_holds_for_open_sessions() {
    let relay = Relay::new();
    let target = echo(b"").await;
    let address = relay.publish(service("db", target)).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_echoes(&mut client, b"hello").await;
    let mut shorter = service("db", target);
    shorter.idle_timeout = Duration::from_millis(50);
    relay.publish(shorter).await;
    assert_reset(&mut client).await;
    assert_served(&relay.only_ended().await, target, 5, 5, IdleTimeout);
}

#[tokio::test]
async fn a_removed_service_refuses_and_its_sessions_are_reset() {
    let relay = Relay::new();
    let target = echo(b"").await;
    let (gone, kept) = (Arc::new(service("gone", target)), {
        let mut kept = service("kept", target);
        kept.listen = vec![Listen { address: ListenAddress::AnyV4, port: 0 }];
        Arc::new(kept)
    });
    relay.listeners.apply(&[Arc::clone(&gone), Arc::clone(&kept)]).await.unwrap();
    let removed = relay.address("gone").await;
    let mut client = TcpStream::connect(removed).await.unwrap();
    assert_echoes(&mut client, b"hello").await;
    let port = relay.address("kept").await.port();
    let mut other = TcpStream::connect((LOCALHOST, port)).await.unwrap();
    assert_echoes(&mut other, b"hello").await;

    relay.listeners.apply(&[kept]).await.unwrap();
    assert_refuses(removed).await;
    assert_reset(&mut client).await;
    assert_served(&relay.first_ended().await, target, 5, 5, ServiceRemoved);
    assert_echoes(&mut other, b"hello").await;
    assert_eq!(relay.notes.ended_so_far().len(), 1);
    assert!(!relay.listeners.stats().contains_key("gone"));
}

#[tokio::test]
async fn a_service_that_becomes_a_guard_leaves_its_port() {
    let relay = Relay::new();
    let mut changed = service("db", echo(b"").await);
    let address = relay.publish(changed.clone()).await;
    changed.destination = Destination::Host;
    relay.listeners.apply(&[Arc::new(changed)]).await.unwrap();
    assert_refuses(address).await;
    StdListener::bind(address).unwrap();
}

#[tokio::test]
async fn a_renamed_service_keeps_the_socket_but_not_the_sessions() {
    let relay = Relay::new();
    let target = echo(b"").await;
    let address = relay.publish(service("old", target)).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_echoes(&mut client, b"hello").await;
    assert_eq!(relay.publish(service("new", target)).await, address);
    assert_reset(&mut client).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_echoes(&mut client, b"hello").await;
    assert_eq!(relay.first_ended().await.service.unwrap().name, "old");
}

#[tokio::test]
async fn a_port_that_cannot_be_had_changes_nothing() {
    let relay = Relay::new();
    let target = echo(b"old").await;
    let address = relay.publish(service("db", target)).await;
    let holder = StdListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let mut changed = service("db", echo(b"new").await);
    changed.listen = vec![Listen { address: ListenAddress::One(LOCALHOST), port: taken.port() }];
    let error = relay.listeners.apply(&[Arc::new(changed)]).await.unwrap_err();
    assert_eq!(error.address, taken);
    let message = error.to_string();
    assert!(message.starts_with(&format!("service.db: cannot listen on {taken}: ")), "{message}");
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_reads(&mut client, b"old").await;
}

#[tokio::test]
async fn an_abandoned_change_resets_nobody_and_gives_its_ports_back() {
    let relay = Relay::new();
    let target = echo(b"old").await;
    let (port, added) = (free_port(), free_port());
    let wide = on(ListenAddress::AnyV4, port, service("gone", target));
    relay.publish(wide).await;
    let mut client = TcpStream::connect((OTHER, port)).await.unwrap();
    assert_reads(&mut client, b"old").await;
    // The wider socket is in the way of one of these.
    let mut new = service("new", echo(b"new").await);
    let at = |port| Listen { address: ListenAddress::One(LOCALHOST), port };
    new.listen = vec![at(port), at(added)];

    relay.listeners.prepare(&[Arc::new(new)]).await.unwrap().abandon();
    StdListener::bind((LOCALHOST, added)).unwrap();
    assert_echoes(&mut client, b"still here").await;
    let mut client = TcpStream::connect((OTHER, port)).await.unwrap();
    assert_reads(&mut client, b"old").await;
    assert!(relay.notes.ended_so_far().is_empty());
}

#[tokio::test]
async fn a_wider_socket_makes_room_for_a_narrower_one() {
    let relay = Relay::new();
    let target = echo(b"").await;
    let port = free_port();
    let mut wide = service("db", target);
    wide.listen = vec![Listen { address: ListenAddress::AnyV4, port }];
    relay.publish(wide.clone()).await;
    let mut session = TcpStream::connect((OTHER, port)).await.unwrap();
    assert_echoes(&mut session, b"hello").await;
    let mut narrow = wide;
    narrow.listen = vec![Listen { address: ListenAddress::One(LOCALHOST), port }];
    assert_eq!(relay.publish(narrow).await, SocketAddr::from((LOCALHOST, port)));
    assert_refuses(SocketAddr::from((OTHER, port))).await;
    assert_echoes(&mut session, b"hello").await;
    TcpStream::connect((LOCALHOST, port)).await.unwrap();
}

#[tokio::test]
async fn under_load_a_socket_is_replaced_unnoticed() {
    let relay = Relay::new();
    let (port, target) = (free_port(), echo(b"").await);
    let listening = |address| on(address, port, service("db", target));
    relay.publish(listening(ListenAddress::AnyV4)).await;
    let made = Arc::new(AtomicUsize::new(0));
    let load = tokio::spawn({
        let made = Arc::clone(&made);
        async move {
            loop {
                let mut client = TcpStream::connect((LOCALHOST, port)).await.unwrap();
                assert_echoes(&mut client, b"hello").await;
                made.fetch_add(1, Relaxed);
            }
        }
    });
    let goes_on = async || {
        let enough = made.load(Relaxed) + 50;
        while made.load(Relaxed) < enough && !load.is_finished() {
            tokio::task::yield_now().await;
        }
    };
    for address in [ListenAddress::One(LOCALHOST), ListenAddress::AnyV4].repeat(3) {
        timeout(PATIENCE, goes_on()).await.expect("the load has come to a halt");
        relay.publish(listening(address)).await;
    }
    timeout(PATIENCE, goes_on()).await.expect("the load has come to a halt");
    load.abort();
    // Else it has panicked.
    assert!(load.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_replaced_socket_is_taken_back_or_goes_at_once() {
    let relay = Relay::new();
    let (port, target) = (free_port(), echo(b"").await);
    let wide = on(ListenAddress::AnyV4, port, service("db", target));
    let narrow = on(ListenAddress::One(LOCALHOST), port, wide.clone());
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    for _ in 0..3 {
        assert_eq!(relay.publish(wide.clone()).await, everywhere);
        let mut client = TcpStream::connect((OTHER, port)).await.unwrap();
        assert_echoes(&mut client, b"hello").await;
        assert_eq!(relay.publish(narrow.clone()).await.ip(), LOCALHOST);
        assert_eq!(relay.listeners.addresses().await.len(), 1);
    }
    relay.listeners.apply(&[]).await.unwrap();
    drop(StdListener::bind(everywhere).expect("nothing listens any more"));

    relay.publish(wide).await;
    relay.publish(narrow).await;
    relay.listeners.drain(Duration::ZERO).await;
    StdListener::bind(everywhere).expect("nothing listens any more");
}

#[tokio::test]
async fn another_process_in_the_way_is_an_error_too() {
    let relay = Relay::new();
    let (port, target) = (free_port(), echo(b"").await);
    let narrow = on(ListenAddress::One(LOCALHOST), port, service("db", target));
    let address = relay.publish(narrow.clone()).await;
    let _other = StdListener::bind((OTHER, port)).unwrap();
    let wide = on(ListenAddress::AnyV4, port, narrow);
    let error = relay.listeners.apply(&[Arc::new(wide)]).await.unwrap_err();
    assert_eq!(error.source.kind(), ErrorKind::AddrInUse);
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_echoes(&mut client, b"hello").await;
}

fn on(address: ListenAddress, port: u16, service: Service) -> Service {
    Service { listen: vec![Listen { address, port }], ..service }
}

fn free_port() -> u16 {
    let socket = StdListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.local_addr().unwrap().port()
}
