//! The PROXY protocol, in and out.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use proxy_common::reason::Reason;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::support::*;
use crate::{
    config::{Mode, ProxyProtocol, SendProxy, Service},
    flow::Introduction,
    record::CloseReason::{ClientClosed, PolicyChanged},
    relay::{
        Failure, Limits, Outcome,
        front::{
            header::{self, Ends, Version, write},
            hello::tests::hello,
        },
    },
};

const V1: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n";
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));

fn v2() -> Vec<u8> {
    write(Version::V2, ends("203.0.113.9:4711", "192.0.2.1:443"))
}

fn ends(client: &str, destination: &str) -> Ends {
    Ends { client: client.parse().unwrap(), destination: destination.parse().unwrap() }
}

/// A service that expects headers from [`OTHER`].
fn behind(mut service: Service, send: SendProxy) -> Service {
    let accept_from = vec!["127.0.0.2/32".parse().unwrap()];
    service.proxy_protocol = ProxyProtocol { accept_from, send };
    service
}

fn plain(target: SocketAddr, send: SendProxy) -> Service {
    behind(service("db", target), send)
}

async fn failure(relay: Relay) -> Failure {
    let ended = relay.only_ended().await;
    assert_eq!(ended.service.unwrap().name, "db");
    let Outcome::Unserved(failure) = ended.outcome else { panic!("{:?}", ended.outcome) };
    failure
}

#[tokio::test]
async fn a_header_names_the_client_and_goes_no_further() {
    for header in [V1.to_vec(), v2()] {
        let relay = Relay::new();
        let target = echo(b"").await;
        let address = relay.publish(plain(target, SendProxy::Off)).await;
        let mut client = connect_from(OTHER, address).await;
        let at = client.local_addr().unwrap();
        client.set_nodelay(true).unwrap();
        for byte in &header {
            client.write_all(std::slice::from_ref(byte)).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_echoes(&mut client, b"hello").await;
        drop(client);
        let ended = relay.only_ended().await;
        assert_served(&ended, target, 5, 5, ClientClosed);
        assert_eq!((ended.flow.client, ended.flow.client_port), (at.ip().into(), at.port()));
        let expected = Introduction {
            client: Some((CLIENT, 4711).into()),
            header: header.len().try_into().unwrap(),
            ..Introduction::default()
        };
        assert_eq!(ended.introduction.as_deref(), Some(&expected));
    }
}

#[tokio::test]
async fn payload_behind_a_header_is_not_lost() {
    let relay = Relay::new();
    let target = echo(b"").await;
    let address = relay.publish(plain(target, SendProxy::Off)).await;
    let mut client = connect_from(OTHER, address).await;
    let payload = vec![7; 100_000];
    let (mut read, mut write) = client.split();
    let sent = [V1, &payload].concat();
    let mut back = vec![0; payload.len()];
    let (sent, received) = tokio::join!(
        write.write_all(&sent),
        tokio::io::AsyncReadExt::read_exact(&mut read, &mut back)
    );
    sent.unwrap();
    received.unwrap();
    assert!(back == payload);
    drop(client);
    assert_served(&relay.only_ended().await, target, 100_000, 100_000, ClientClosed);
}

#[tokio::test]
async fn a_peer_may_speak_for_itself() {
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    for header in [&b"PROXY UNKNOWN\r\n"[..], local] {
        let relay = Relay::new();
        relay.door.deny(CLIENT);
        let target = echo(b"welcome ").await;
        let address = relay.publish(plain(target, SendProxy::Off)).await;
        let mut client = connect_from(OTHER, address).await;
        client.write_all(header).await.unwrap();
        // Who speaks first is the target's business.
        assert_reads(&mut client, b"welcome ").await;
        drop(client);
        let introduction = relay.only_ended().await.introduction.unwrap();
        assert_eq!(introduction.client, None);
        assert_eq!(introduction.header as usize, header.len());
    }
}

#[tokio::test]
async fn headers_of_others_are_payload() {
    let relay = Relay::new();
    let target = echo(b"").await;
    let address = relay.publish(plain(target, SendProxy::Off)).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_echoes(&mut client, V1).await;
    drop(client);
    let ended = relay.only_ended().await;
    assert_served(&ended, target, V1.len() as u64, V1.len() as u64, ClientClosed);
    assert_eq!(ended.introduction, None);
}

#[tokio::test]
async fn the_headers_address_is_judged() {
    let relay = Relay::new();
    relay.door.deny(CLIENT);
    let (target, at) = target().await;
    let address = relay.publish(plain(at, SendProxy::Off)).await;
    let mut client = connect_from(OTHER, address).await;
    client.write_all(V1).await.unwrap();
    assert_reset(&mut client).await;
    relay.ended(1).await;
    let stats = relay.listeners.stats()["db"].clone();
    assert_eq!(stats.denied, [(Reason::IpRestricted, 1)].into());
    let ended = relay.only_ended().await;
    assert_eq!(ended.outcome, Outcome::Denied(Reason::IpRestricted));
    assert_eq!(ended.introduction.unwrap().client, Some((CLIENT, 4711).into()));
    assert!(timeout(Duration::ZERO, target.accept()).await.is_err());
}

#[tokio::test]
async fn a_listed_peer_is_not_judged_itself() {
    let relay = Relay::new();
    relay.door.deny(OTHER);
    let address = relay.publish(plain(echo(b"").await, SendProxy::Off)).await;
    let mut client = connect_from(OTHER, address).await;
    client.write_all(V1).await.unwrap();
    assert_echoes(&mut client, b"hello").await;
    // A later policy cuts by the same address.
    relay.listeners.rejudge();
    assert_echoes(&mut client, b"hello").await;
    relay.door.deny(CLIENT);
    relay.listeners.rejudge();
    assert_reset(&mut client).await;
    let Outcome::Admitted { fate, .. } = relay.only_ended().await.outcome else { panic!() };
    let cut = matches!(fate, crate::relay::Fate::Served { close_reason: PolicyChanged, .. });
    assert!(cut, "{fate:?}");
}

#[tokio::test]
async fn a_missing_header_is_a_bad_request() {
    let relay = Relay::new();
    let address = relay.publish(plain(echo(b"").await, SendProxy::Off)).await;
    let mut client = connect_from(OTHER, address).await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_reset(&mut client).await;
    let failure = failure(relay).await;
    assert_eq!((failure.reason, failure.close_reason), (Reason::BadRequest, None));
    assert_eq!(failure.error, "the connection begins with no PROXY header");
}

#[tokio::test]
async fn half_a_header_and_silence_is_a_bad_request() {
    let relay = Relay::with(Limits { patience: Duration::from_millis(50), ..limits(1, 0) });
    let address = relay.publish(plain(echo(b"").await, SendProxy::Off)).await;
    let mut client = connect_from(OTHER, address).await;
    client.write_all(&V1[..20]).await.unwrap();
    assert_reset(&mut client).await;
    let failure = failure(relay).await;
    assert_eq!(failure.reason, Reason::BadRequest);
    assert_eq!(failure.error, "no PROXY header within 50ms");
}

#[tokio::test]
async fn half_a_header_and_the_end_is_a_bad_request() {
    let relay = Relay::new();
    let address = relay.publish(plain(echo(b"").await, SendProxy::Off)).await;
    let mut client = connect_from(OTHER, address).await;
    client.write_all(&v2()[..20]).await.unwrap();
    client.shutdown().await.unwrap();
    assert_reset(&mut client).await;
    let failure = failure(relay).await;
    assert_eq!((failure.reason, failure.close_reason), (Reason::BadRequest, Some(ClientClosed)));
}

#[tokio::test]
async fn a_header_and_then_silence_is_a_session() {
    let relay = Relay::with(Limits { patience: Duration::from_millis(50), ..limits(1, 0) });
    let (listener, at) = target().await;
    let address = relay.publish(plain(at, SendProxy::Off)).await;
    let mut client = connect_from(OTHER, address).await;
    client.write_all(V1).await.unwrap();
    let (mut target, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    // No longer than its target is it waited for.
    target.write_all(b"late").await.unwrap();
    assert_reads(&mut client, b"late").await;
}

#[tokio::test]
async fn a_header_before_a_hello_names_client_and_service() {
    let relay = Relay::new();
    let target = echo(b"").await;
    let tls = Service {
        mode: Mode::Tls,
        domain: Some("web.example.com".to_owned()),
        ..service("web", target)
    };
    let address = relay.publish(behind(tls, SendProxy::Off)).await;
    let words = hello("web.example.com");
    let mut client = connect_from(OTHER, address).await;
    client.write_all(&[&v2(), &words[..]].concat()).await.unwrap();
    assert_reads(&mut client, &words).await;
    drop(client);
    let ended = relay.only_ended().await;
    let bytes = words.len() as u64;
    assert_served(&ended, target, bytes, bytes, ClientClosed);
    let introduction = ended.introduction.unwrap();
    assert_eq!(introduction.server_name.as_deref(), Some("web.example.com"));
    assert_eq!(introduction.client, Some((CLIENT, 4711).into()));
    assert_eq!(introduction.header as usize, v2().len());
}

/// Reads a header, and nothing behind it.
async fn read_header(target: &mut TcpStream, expected: Ends, version: Version) {
    let header = write(version, expected);
    assert_reads(target, &header).await;
    assert_eq!(header::parse(&header).unwrap().unwrap().ends, Some(expected));
}

async fn accepted(listener: &TcpListener) -> TcpStream {
    timeout(PATIENCE, listener.accept()).await.expect("no dial").unwrap().0
}

#[tokio::test]
async fn the_target_is_told_of_the_client_first() {
    for (send, version) in [(SendProxy::V1, Version::V1), (SendProxy::V2, Version::V2)] {
        let relay = Relay::new();
        let (listener, at) = target().await;
        let address = relay.publish(plain(at, send)).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let expected = Ends { client: client.local_addr().unwrap(), destination: address };
        client.write_all(b"question").await.unwrap();
        let mut target = accepted(&listener).await;
        read_header(&mut target, expected, version).await;
        assert_reads(&mut target, b"question").await;
        target.write_all(b"an answer").await.unwrap();
        assert_reads(&mut client, b"an answer").await;
        drop((client, target));
        assert_served(&relay.only_ended().await, at, 8, 9, ClientClosed);
    }
}

#[tokio::test]
async fn a_target_that_speaks_first_is_told_of_the_client_too() {
    let relay = Relay::new();
    let (listener, at) = target().await;
    let address = relay.publish(plain(at, SendProxy::V2)).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let expected = Ends { client: client.local_addr().unwrap(), destination: address };
    let mut target = accepted(&listener).await;
    read_header(&mut target, expected, Version::V2).await;
    target.write_all(b"banner").await.unwrap();
    assert_reads(&mut client, b"banner").await;
}

#[tokio::test]
async fn a_proxys_header_is_passed_on_with_what_was_read_behind_it() {
    let relay = Relay::new();
    let (listener, at) = target().await;
    let address = relay.publish(plain(at, SendProxy::V1)).await;
    let mut client = connect_from(OTHER, address).await;
    client.write_all(&[&v2(), &b"question"[..]].concat()).await.unwrap();
    let mut target = accepted(&listener).await;
    read_header(&mut target, ends("203.0.113.9:4711", "192.0.2.1:443"), Version::V1).await;
    assert_reads(&mut target, b"question").await;
    drop((client, target));
    relay.ended(1).await;
    assert_served(&relay.only_ended().await, at, 8, 0, ClientClosed);
}
