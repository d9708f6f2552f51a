//! Clients and targets of datagrams.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket as StdSocket},
    sync::atomic::{AtomicU16, Ordering::Relaxed},
    time::Duration,
};

use socket2::SockRef;
use tokio::{net::UdpSocket, time::timeout};

pub(super) use crate::relay::tests::support::*;
use crate::{
    config::{Listen, ListenAddress, Mode, Service},
    record::CloseReason,
    relay::{Bytes, Datagrams, Ended, Fate, Outcome},
};

/// Room for every datagram.
const LARGEST: usize = 1 << 16;

/// A service of datagrams on a free port of 127.0.0.1.
pub(super) fn udp(name: &str, target: SocketAddr) -> Service {
    Service { mode: Mode::Udp, ..service(name, target) }
}

/// The same, listening elsewhere.
pub(super) fn on(address: ListenAddress, port: u16, service: Service) -> Service {
    Service { listen: vec![Listen { address, port }], ..service }
}

/// A port that nothing has, on any address, and that no socket is given which asks for any
/// port: those are above.
pub(super) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let is_free = |port: &u16| {
        let everywhere = (Ipv4Addr::UNSPECIFIED, *port);
        StdSocket::bind(everywhere).is_ok() && TcpListener::bind(everywhere).is_ok()
    };
    // Another process of these tests begins elsewhere.
    let first = std::process::id().wrapping_mul(97) % 12_000;
    let mut ports = (0..12_000).map(|_| {
        let next = u32::from(NEXT.fetch_add(1, Relaxed));
        u16::try_from(20_000 + (first + next) % 12_000).unwrap()
    });
    ports.find(is_free).expect("a free port")
}

/// A socket with room for what a test sends without waiting.
pub(super) async fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).await.unwrap();
    SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
    socket
}

/// A target that does nothing by itself.
pub(super) async fn silent() -> (UdpSocket, SocketAddr) {
    let socket = socket("127.0.0.1:0").await;
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A target that sends everything back.
pub(super) async fn udp_echo() -> SocketAddr {
    answering(|question, _| question.to_vec()).await
}

/// A target that answers with its name, and says how it knows the client.
pub(super) async fn witness(name: &'static str) -> SocketAddr {
    answering(move |_, from| format!("{name} {from}").into_bytes()).await
}

async fn answering(answer: impl Fn(&[u8], SocketAddr) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let (socket, address) = silent().await;
    tokio::spawn(async move {
        let mut room = vec![0; LARGEST];
        loop {
            let (length, from) = socket.recv_from(&mut room).await.unwrap();
            socket.send_to(&answer(&room[..length], from), from).await.unwrap();
        }
    });
    address
}

/// A client that hears `service` alone.
pub(super) async fn client(from: IpAddr, service: SocketAddr) -> UdpSocket {
    let client = socket(&SocketAddr::new(from, 0).to_string()).await;
    client.connect(service).await.unwrap();
    client
}

pub(super) async fn receive(socket: &UdpSocket) -> Vec<u8> {
    receive_from(socket).await.0
}

pub(super) async fn receive_from(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut room = vec![0; LARGEST];
    let received = timeout(PATIENCE, socket.recv_from(&mut room)).await.expect("no datagram");
    let (length, from) = received.unwrap();
    room.truncate(length);
    (room, from)
}

/// Sends, and gives the answer as text.
pub(super) async fn ask(client: &UdpSocket, question: &[u8]) -> String {
    client.send(question).await.unwrap();
    String::from_utf8(receive(client).await).unwrap()
}

pub(super) async fn assert_echoed(client: &UdpSocket, payload: &[u8]) {
    client.send(payload).await.unwrap();
    assert!(receive(client).await == payload, "{} bytes", payload.len());
}

/// Asserts that nothing is there.
pub(super) fn assert_silence(socket: &UdpSocket) {
    let error = socket.try_recv(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

/// Waits until nothing listens where `client` sends to.
pub(super) async fn assert_refused(client: &UdpSocket) {
    client.send(b"anyone?").await.unwrap();
    let heard = timeout(PATIENCE, client.recv(&mut [0])).await.expect("silence");
    assert_eq!(heard.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

/// Ends the relay, and gives the only report that it made.
pub(super) async fn only_session(relay: Relay) -> Ended {
    relay.listeners.drain(Duration::ZERO).await;
    relay.only_ended().await
}

pub(super) fn fate(ended: &Ended) -> &Fate {
    match &ended.outcome {
        Outcome::Admitted { fate, .. } => fate,
        outcome => panic!("not admitted: {outcome:?}"),
    }
}

/// What a session passed on: payload and datagrams.
pub(super) fn passed(ended: &Ended) -> (Bytes, Datagrams, CloseReason) {
    match fate(ended) {
        Fate::Served { bytes, datagrams, close_reason, .. } => (*bytes, *datagrams, *close_reason),
        fate => panic!("not served: {fate:?}"),
    }
}
