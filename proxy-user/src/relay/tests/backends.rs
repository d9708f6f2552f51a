//! Services with several targets, and targets that do not serve.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use super::support::*;
use crate::config::{Balance, Destination, Health, Service, Target, Targets};

/// A service with these targets behind it, in turn and looked at as often as `health` has
/// it.
pub(super) fn behind(name: &str, targets: &[SocketAddr], health: Option<Duration>) -> Service {
    let health = health.map(|interval| Health { interval, timeout: interval });
    let list = targets.iter().copied().map(Target::Address).collect();
    let targets = Targets { list, balance: Balance::RoundRobin, health };
    Service { destination: Destination::Targets(targets), ..service(name, ([0; 4], 0).into()) }
}

/// Balances otherwise.
pub(super) fn balanced(mut service: Service, by: Balance) -> Service {
    if let Destination::Targets(targets) = &mut service.destination {
        targets.balance = by;
    }
    service
}

/// An address at which nothing listens; other tests' sockets have other addresses.
pub(super) fn dead() -> SocketAddr {
    let free = TcpListener::bind("127.77.0.1:0").unwrap();
    free.local_addr().unwrap()
}

/// The greeting of whoever serves a client of that address.
pub(super) async fn greeting(client: IpAddr, service: SocketAddr) -> (TcpStream, char) {
    let mut stream = connect_from(client, service).await;
    let mut greeting = [0];
    timeout(PATIENCE, stream.read_exact(&mut greeting)).await.expect("no greeting").unwrap();
    (stream, greeting[0].into())
}

/// A target whose kernel answers no SYN: its accept queue is full.
pub(super) struct Silent {
    pub(super) address: SocketAddr,
    _held: (Socket, Vec<Socket>),
}

impl Silent {
    pub(super) fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let fill = |_| {
            let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            filler.set_nonblocking(true).unwrap();
            let _ = filler.connect(&address);
            filler
        };
        let fillers = (0..4).map(fill).collect();
        Self { address: address.as_socket().unwrap(), _held: (listener, fillers) }
    }
}
