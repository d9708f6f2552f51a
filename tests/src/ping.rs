//! Echo requests.

use std::{
    io::{self, Read},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

use crate::ns::Namespace;

const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST6: u8 = 128;

/// Sends one echo request from one of a namespace's addresses and waits for the
/// answer.
pub fn ping(from: (&Namespace, IpAddr), to: IpAddr, patience: Duration) -> Result<()> {
    let (namespace, source) = from;
    // The group root may use ICMP sockets in this namespace.
    namespace.sysctl("net/ipv4/ping_group_range", "0 0")?;
    let answered = namespace.within(|| exchange(source, to, patience))?;
    answered.with_context(|| format!("ping {to} from {source}"))
}

fn exchange(source: IpAddr, to: IpAddr, patience: Duration) -> io::Result<()> {
    let (domain, protocol, kind) = match to {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, ECHO_REQUEST),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, ECHO_REQUEST6),
    };
    let mut socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect(&SocketAddr::new(to, 0).into())?;
    socket.set_read_timeout(Some(patience))?;
    // The kernel fills in checksum and identifier, and hands over only the answer.
    socket.send(&[kind, 0, 0, 0, 0, 0, 0, 1])?;
    socket.read(&mut [0; 64]).map(drop)
}
