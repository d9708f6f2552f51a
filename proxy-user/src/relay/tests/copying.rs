//! Payload arrives whole, in order, and is counted.

use std::{fs::File, io::Read};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::support::*;
use crate::{
    record::CloseReason::{ClientClosed, TargetClosed},
    relay::Limits,
};

const BULK: usize = 64 << 20;

fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

async fn bulk_comes_back_whole(limits: Limits) {
    let relay = Relay::with(limits);
    let target = echo(b"").await;
    let client = TcpStream::connect(relay.publish(service("db", target)).await).await.unwrap();
    let key = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    let (mut read, mut write) = client.into_split();
    let sent = random(BULK);
    let copy = sent.clone();
    let sender = tokio::spawn(async move {
        write.write_all(&copy).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut received = Vec::with_capacity(BULK);
    read.read_to_end(&mut received).await.unwrap();
    sender.await.unwrap();
    assert!(received == sent, "{} bytes came back", received.len());

    let stats = relay.listeners.stats()["db"].clone();
    assert_eq!((stats.opened, stats.bytes.up, stats.bytes.down), (1, BULK as u64, BULK as u64));
    let notes = relay.notes.clone();
    let ended = relay.only_ended().await;
    assert_served(&ended, target, BULK as u64, BULK as u64, ClientClosed);
    assert_eq!(ended.service.as_ref().unwrap().name, "db");
    assert_eq!(ended.flow.client, key.0.ip().into());
    assert_eq!(ended.flow.client_port, key.0.port());
    assert_eq!(ended.flow.service, key.1.ip().into());
    assert_eq!(ended.flow.service_port, key.1.port());
    assert_eq!(notes.ended_so_far().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_comes_back_whole_spliced() {
    bulk_comes_back_whole(limits(1, 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_comes_back_whole_without_pipes() {
    bulk_comes_back_whole(limits(1, 0)).await;
}

#[tokio::test]
async fn a_service_on_every_address_takes_both_families() {
    use crate::config::{Listen, ListenAddress};
    let relay = Relay::new();
    let target = echo(b"").await;
    let mut both = service("db", target);
    both.listen = vec![
        Listen { address: ListenAddress::AnyV4, port: 0 },
        Listen { address: ListenAddress::AnyV6, port: 0 },
    ];
    relay.publish(both).await;
    for (address, _) in relay.listeners.addresses().await {
        let ip = if address.is_ipv4() { "127.0.0.1" } else { "::1" };
        let mut client = TcpStream::connect((ip, address.port())).await.unwrap();
        assert_echoes(&mut client, b"hello").await;
        drop(client);
    }
    relay.listeners.drain(PATIENCE).await;
    let ended = relay.notes.ended_so_far();
    assert_eq!(ended.len(), 2);
    for ended in ended {
        assert_eq!(ended.flow.client, ended.flow.service);
        assert_served(&ended, target, 5, 5, ClientClosed);
    }
}

#[tokio::test]
async fn the_client_may_finish_first_and_still_hear_the_answer() {
    let relay = Relay::new();
    let (listener, address) = target().await;
    let service = relay.publish(service("db", address)).await;
    let (mut client, mut target) = connect_through(service, &listener).await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_reads(&mut target, b"question").await;
    assert_fin(&mut target).await;
    target.write_all(b"an answer").await.unwrap();
    drop(target);
    assert_reads(&mut client, b"an answer").await;
    assert_fin(&mut client).await;
    assert_served(&relay.only_ended().await, address, 8, 9, ClientClosed);
}

#[tokio::test]
async fn the_target_may_finish_first_and_still_be_told() {
    let relay = Relay::new();
    let (listener, address) = target().await;
    let service = relay.publish(service("db", address)).await;
    let (mut client, mut target) = connect_through(service, &listener).await;
    target.write_all(b"banner").await.unwrap();
    target.shutdown().await.unwrap();
    assert_reads(&mut client, b"banner").await;
    assert_fin(&mut client).await;
    client.write_all(b"bye").await.unwrap();
    drop(client);
    assert_reads(&mut target, b"bye").await;
    assert_fin(&mut target).await;
    assert_served(&relay.only_ended().await, address, 3, 6, TargetClosed);
}
