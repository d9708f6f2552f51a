//! The lab: a server with a public and a private side, and clients of every kind.
//!
//! ```text
//!  clients (net0) ---------- wan (server) lan ---------- neighbours (net0)
//! ```
//!
//! The server routes everything it does not know through the clients' namespace,
//! which holds all their addresses and swallows the rest: answers to spoofed
//! addresses end there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use rustix::process::geteuid;

use crate::{
    ns::{Namespace, link},
    skip::skip,
    sweep,
};

/// The server on its public side.
pub const SERVER4: IpAddr = v4([192, 0, 2, 1]);
/// The server on its public side.
pub const SERVER6: IpAddr = v6(0x77, 1);
/// The server as private clients know it.
pub const SERVER_PRIVATE4: IpAddr = v4([10, 77, 0, 1]);
/// The server as private clients know it.
pub const SERVER_PRIVATE6: IpAddr = unique_local(1);
/// The server on its second link.
pub const SERVER_LAN4: IpAddr = v4([198, 18, 0, 1]);
/// The server on its second link.
pub const SERVER_LAN6: IpAddr = v6(0x18, 1);

/// A client in Germany.
pub const DE4: IpAddr = v4([198, 51, 100, 2]);
/// A client in Germany.
pub const DE6: IpAddr = v6(0xde, 2);
/// A client in France.
pub const FR4: IpAddr = v4([203, 0, 113, 2]);
/// A client in France.
pub const FR6: IpAddr = v6(0xf0, 2);
/// A client in Germany, within [`BLOCKED4_CIDR`].
pub const BLOCKED4: IpAddr = v4([198, 51, 100, 70]);
/// A client in Germany, within [`BLOCKED6_CIDR`].
pub const BLOCKED6: IpAddr = v6(0xde, 0xbad);
/// A client with a private address: country rules do not apply.
pub const PRIVATE4: IpAddr = v4([10, 77, 0, 2]);
/// A client with a private address: country rules do not apply.
pub const PRIVATE6: IpAddr = unique_local(2);
/// A client on the second link, in France.
pub const LAN_FR4: IpAddr = v4([198, 18, 0, 2]);
/// A client on the second link, in France.
pub const LAN_FR6: IpAddr = v6(0x18, 2);

/// What holds [`BLOCKED4`], and no other client.
pub const BLOCKED4_CIDR: &str = "198.51.100.64/26";
/// What holds [`BLOCKED6`], and no other client.
pub const BLOCKED6_CIDR: &str = "2001:db8:de::b00/120";

/// The server's interface towards the clients.
pub const WAN: &str = "wan";
/// The server's interface towards its neighbours.
pub const LAN: &str = "lan";

const CLIENT_ADDRESSES: [&str; 10] = [
    "192.0.2.254/24",
    "10.77.0.2/24",
    "198.51.100.2/32",
    "198.51.100.70/32",
    "203.0.113.2/32",
    "2001:db8:77::fe/64",
    "2001:db8:de::2/128",
    "2001:db8:de::bad/128",
    "2001:db8:f0::2/128",
    "fd77::2/64",
];

const SERVER_ADDRESSES: [&str; 4] =
    ["192.0.2.1/24", "10.77.0.1/24", "2001:db8:77::1/64", "fd77::1/64"];

/// A server and its clients.
#[derive(Debug)]
pub struct Lab {
    /// Where Weir and what it guards run.
    pub server: Namespace,
    /// All clients on the public side, told apart by their addresses.
    pub clients: Namespace,
    /// A client on another link.
    pub neighbours: Namespace,
}

impl Lab {
    /// A new lab for a test, which is skipped where there can be none.
    pub fn for_test() -> Result<Option<Self>> {
        if geteuid().is_root() {
            return Self::new().map(Some);
        }
        skip("network namespaces need root");
        Ok(None)
    }

    /// A new lab. What killed runs left behind is removed first.
    pub fn new() -> Result<Self> {
        sweep::sweep();
        let server = Namespace::create("server")?;
        let clients = Namespace::create("clients")?;
        let neighbours = Namespace::create("neighbours")?;
        link((&server, WAN), (&clients, "net0"))?;
        link((&server, LAN), (&neighbours, "net0"))?;
        assign(&server, WAN, &SERVER_ADDRESSES)?;
        assign(&server, LAN, &["198.18.0.1/24", "2001:db8:18::1/64"])?;
        assign(&clients, "net0", &CLIENT_ADDRESSES)?;
        assign(&neighbours, "net0", &["198.18.0.2/24", "2001:db8:18::2/64"])?;
        server.ip("route add default via 192.0.2.254")?;
        server.ip("-6 route add default via 2001:db8:77::fe")?;
        clients.ip("route add default via 192.0.2.1")?;
        Ok(Self { server, clients, neighbours })
    }
}

/// Gives an interface addresses that can be used at once.
pub fn assign(namespace: &Namespace, interface: &str, addresses: &[&str]) -> Result<()> {
    for address in addresses {
        // Detection of duplicates would hold an IPv6 address back for a second.
        let nodad = if address.contains(':') { "nodad" } else { "" };
        namespace.ip(&format!("addr add {address} dev {interface} {nodad}"))?;
    }
    Ok(())
}

/// An IPv4 address.
pub const fn v4(octets: [u8; 4]) -> IpAddr {
    let [a, b, c, d] = octets;
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn unique_local(host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, host))
}

/// An address of the lab, in the network of this number.
pub const fn v6(network: u16, host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, network, 0, 0, 0, 0, host))
}
