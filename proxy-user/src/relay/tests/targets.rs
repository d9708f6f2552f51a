//! Targets that cannot be reached.

use std::{net::TcpListener as StdListener, time::Duration};

use tokio::net::TcpStream;

use super::{backends::*, support::*};
use crate::{
    config::Target,
    record::CloseReason,
    relay::{Ended, Fate, Outcome},
};

fn fate(ended: Ended) -> Fate {
    match ended.outcome {
        Outcome::Admitted { fate, .. } => fate,
        outcome => panic!("not admitted: {outcome:?}"),
    }
}

#[tokio::test]
async fn a_target_that_refuses_is_unreachable() {
    let free = StdListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let relay = Relay::new();
    assert_turned_away(LOCALHOST, relay.publish(service("db", address)).await).await;
    let Fate::BackendUnreachable { target, error } = fate(relay.only_ended().await) else {
        panic!("not unreachable");
    };
    assert_eq!(target, address.to_string());
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_silent_target_times_out() {
    let silent = Silent::new();
    let relay = Relay::new();
    let mut service = service("db", silent.address);
    service.connect_timeout = Duration::from_millis(100);
    let mut client = TcpStream::connect(relay.publish(service).await).await.unwrap();
    assert_reset(&mut client).await;
    let target = silent.address.to_string();
    assert_eq!(fate(relay.only_ended().await), Fate::BackendTimeout { target });
}

#[tokio::test]
async fn a_session_that_is_still_dialling_is_cut_too() {
    let silent = Silent::new();
    let relay = Relay::new();
    let address = relay.publish(service("db", silent.address)).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    relay.opened(1).await;
    relay.listeners.apply(&[]).await.unwrap();
    assert_reset(&mut client).await;
    let close_reason = CloseReason::ServiceRemoved;
    let target = silent.address.to_string();
    assert_eq!(fate(relay.only_ended().await), Fate::Abandoned { target, close_reason });
}

#[tokio::test]
async fn a_name_is_tried_address_by_address() {
    let address = echo(b"").await;
    let relay = Relay::new();
    let mut service = service("db", address);
    // It may resolve to ::1 first, where nothing listens.
    service.destination =
        Target::Name { host: "localhost".to_owned(), port: address.port() }.into();
    let mut client = TcpStream::connect(relay.publish(service).await).await.unwrap();
    assert_echoes(&mut client, b"hello").await;
    drop(client);
    assert_served(&relay.only_ended().await, address, 5, 5, CloseReason::ClientClosed);
}
