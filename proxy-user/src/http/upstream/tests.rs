//! Connections to a target on the loopback interface.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

use hyper::{Request, StatusCode, header::UPGRADE};
use tokio::net::TcpStream;

use super::{
    ClientTls, Key, Reach, Sender,
    idle::{WAITS, keep, prune, take},
    sender::Speaks,
    speak,
};
use crate::{
    config::{Scheme, Target},
    http::{
        body::Upload,
        tls::{Trust, client_config},
        traffic::Traffic,
    },
    relay::{Member, tests::pool::pool},
};

/// A target that takes one connection, and answers what comes first with this.
fn target(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        if stream.read(&mut head).unwrap() > 0 {
            stream.write_all(answer.as_bytes()).unwrap();
        }
        // Up to the client's end.
        while stream.read(&mut head).unwrap_or(0) > 0 {}
    });
    address
}

/// A connection to it, and what tells whether it still holds its permit.
async fn connection(address: SocketAddr) -> (Speaks, Weak<()>) {
    let config = client_config(Trust::Anyone).unwrap();
    let tls = ClientTls::new(&config, &config);
    let reach = Reach { scheme: Scheme::Http, verify: false, upgrades: true, tls: &tls };
    let permit = Arc::new(());
    let held = Arc::downgrade(&permit);
    let stream = TcpStream::connect(address).await.unwrap();
    let speaks = speak(stream, (&Target::Address(address), address), reach, permit).await.unwrap();
    (speaks, held)
}

async fn is_given_back(held: &Weak<()>) -> bool {
    for _ in 0..1000 {
        if held.strong_count() == 0 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

#[tokio::test]
async fn a_permit_is_held_as_long_as_the_socket_whatever_is_spoken() {
    let upgraded = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let (mut speaks, held) = connection(target(upgraded)).await;
    let body = Upload::none(&Arc::new(Traffic::since(Instant::now())));
    let request = Request::builder().header("connection", "upgrade").header(UPGRADE, "x");
    let sent = speaks.send(request.body(body).unwrap()).await;
    let Ok(answer) = sent else { panic!("no answer") };
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let socket = hyper::upgrade::on(answer).await.unwrap();
    drop(speaks);
    tokio::task::yield_now().await;
    assert_eq!(held.strong_count(), 1, "the socket is open");
    drop(socket);
    assert!(is_given_back(&held).await);
}

/// The target of a connection that waits may have gone from the configuration: no request
/// comes that would look at it.
#[tokio::test]
async fn a_connection_that_waits_goes_without_another_request() {
    let address = target("");
    let members: Vec<Arc<Member>> = pool(&[address]).order(address.ip());
    let key = Key::of(&members[0], Scheme::Http, false);
    let waits = Arc::downgrade(&members[0]);
    let (speaks, held) = connection(address).await;
    let [member] = <[Arc<Member>; 1]>::try_from(members).ok().unwrap();
    keep(key, Sender { speaks, address: "".into(), used: false, member });
    assert!(!prune(Instant::now() + WAITS / 2), "it may wait");
    assert!(waits.upgrade().is_some());
    assert!(prune(Instant::now() + WAITS * 2), "not for ever");
    assert!(take(&key).is_none());
    assert!(waits.upgrade().is_none(), "its target is let go");
    assert!(is_given_back(&held).await);
}
