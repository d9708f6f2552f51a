//! One relay takes the sockets of another over: nobody is refused, and nobody is served
//! twice.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    os::fd::AsFd,
    sync::Arc,
    time::Duration,
};

use tokio::net::TcpStream;

use super::support::*;
use crate::{
    config::{Listen, ListenAddress, Service},
    record::CloseReason::ClientClosed,
    relay::{Inherited, Intake, Transport},
};

/// What another process would get.
async fn sockets(relay: &Relay) -> Inherited {
    let mut inherited = Inherited::default();
    for descriptor in relay.listeners.descriptors().await {
        let copy = descriptor.as_fd().try_clone_to_owned().unwrap();
        match descriptor.place().0 {
            Transport::Tcp => inherited.add_stream(copy.into()),
            Transport::Udp => inherited.add_datagrams(copy.into()),
        }
    }
    inherited
}

fn listening(mut service: Service, address: ListenAddress, port: u16) -> Arc<Service> {
    service.listen = vec![Listen { address, port }];
    Arc::new(service)
}

/// A relay that accepts no more, with a client that is served and one that waits.
async fn paused(target: SocketAddr) -> (Relay, [TcpStream; 2], SocketAddr) {
    let relay = Relay::new();
    let address = relay.publish(service("db", target)).await;
    let mut served = TcpStream::connect(address).await.unwrap();
    assert_echoes(&mut served, b"before").await;
    relay.listeners.set_intake(Intake::Pause);
    relay.listeners.settle().await;
    let waiting = TcpStream::connect(address).await.unwrap();
    (relay, [served, waiting], address)
}

#[tokio::test]
async fn who_waits_is_served_by_the_heir_and_who_is_served_stays() {
    let target = echo(b"").await;
    let (old, [mut served, mut waiting], address) = paused(target).await;
    let heir = Relay::new();
    let mut inherited = sockets(&old).await;
    let services =
        [listening(service("db", target), ListenAddress::One(LOCALHOST), address.port())];
    inherited.complete(&services).unwrap();
    heir.listeners.inherit(inherited);
    heir.listeners.apply(&services).await.unwrap();
    assert_echoes(&mut waiting, b"waited").await;

    let draining = tokio::spawn(async move {
        old.listeners.drain(PATIENCE).await;
        old
    });
    assert_echoes(&mut served, b"still here").await;
    drop(TcpStream::connect(address).await.unwrap());
    heir.opened(2).await;
    drop(served);
    let old = draining.await.unwrap();
    assert_eq!(old.notes.ended_so_far().len(), 1);
    assert_served(&old.notes.ended_so_far()[0], target, 16, 16, ClientClosed);
    drop(waiting);
    heir.ended(2).await;
}

#[tokio::test]
async fn a_relay_whose_heir_does_not_come_goes_on() {
    let (relay, [_served, mut waiting], address) = paused(echo(b"").await).await;
    drop(sockets(&relay).await);
    relay.listeners.set_intake(Intake::Accept);
    assert_echoes(&mut waiting, b"waited").await;
    let mut new = TcpStream::connect(address).await.unwrap();
    assert_echoes(&mut new, b"new").await;
}

#[tokio::test]
async fn a_socket_that_gives_way_serves_who_waits() {
    let target = echo(b"").await;
    let (old, [_served, mut waiting], address) = paused(target).await;
    let heir = Relay::new();
    let mut inherited = sockets(&old).await;
    let services = [listening(service("db", target), ListenAddress::Any, address.port())];
    inherited.complete(&services).unwrap();
    heir.listeners.inherit(inherited);
    heir.listeners.apply(&services).await.unwrap();
    old.listeners.drain(Duration::ZERO).await;
    assert_echoes(&mut waiting, b"waited").await;
    for host in ["127.0.0.1", "127.0.0.2"] {
        let mut client = TcpStream::connect((host, address.port())).await.unwrap();
        assert_echoes(&mut client, b"new").await;
    }
    heir.listeners.rest().await;
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_echoes(&mut client, b"newer").await;
}

#[tokio::test]
async fn a_socket_that_nobody_needs_is_closed() {
    let target = echo(b"").await;
    let (old, [_served, mut waiting], address) = paused(target).await;
    let heir = Relay::new();
    heir.listeners.inherit(sockets(&old).await);
    heir.listeners.apply(&[Arc::new(service("other", target))]).await.unwrap();
    old.listeners.drain(Duration::ZERO).await;
    assert_reset(&mut waiting).await;
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_port_that_cannot_be_had_is_told_before_anything_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let target = echo(b"").await;
    let mut inherited = Inherited::default();
    let services = [listening(service("db", target), ListenAddress::One(LOCALHOST), port)];
    let error = inherited.complete(&services).unwrap_err();
    assert_eq!(error.source.kind(), ErrorKind::AddrInUse);
    assert_eq!(inherited.addresses().count(), 0);
}
