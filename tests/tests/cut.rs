//! Whoever a new policy denies is told by an RST, wherever the flow ends.

use std::{
    io::{ErrorKind, Read},
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream},
};

use anyhow::{Context, Result};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use weir_tests::{
    client,
    lab::{self, Lab},
    nft,
    ns::Namespace,
    scenario::{self, GUARDED},
    server::{Behaviour, Server},
    wait::SOON,
    weir::Weir,
};

const BYTES: u64 = 20_000;
const ANY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Denies who `stream` belongs to; how it ends.
fn cut(weir: &Weir<'_>, stream: &mut TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(SOON))?;
    weir.configure(
        "interfaces = ['wan']",
        &scenario::guarded("blocked_cidrs = ['0.0.0.0/0', '::/0']"),
    )?;
    weir.reload()?;
    let heard = stream.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(heard, Err(ErrorKind::ConnectionReset));
    let record = weir.wait_for_event("verdict=allowed", SOON)?;
    assert_eq!(record["close_reason"], "policy_changed", "{record}");
    assert_eq!(record["bytes_upload"], BYTES, "{record}");
    assert_eq!(record["bytes_download"], BYTES, "{record}");
    weir.configure("interfaces = ['wan']", &scenario::guarded(""))?;
    weir.reload()
}

/// As Docker publishes a port: no socket of the host belongs to the flow.
#[test]
fn a_flow_to_a_container() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    lab.server.sysctl("net/ipv4/ip_forward", "1")?;
    lab.neighbours.ip("route add default via 198.18.0.1")?;
    nft::load(
        &lab.server,
        &format!(
            "table ip docker {{
                chain prerouting {{
                    type nat hook prerouting priority -100;
                    ip daddr {} tcp dport {GUARDED} dnat to {}
                }}
            }}",
            lab::SERVER4,
            lab::LAN_FR4
        ),
    )?;
    let container = Server::start(&lab.neighbours, (ANY, GUARDED).into(), Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "interfaces = ['wan']", &scenario::guarded(""))?;
    let to = SocketAddr::new(lab::SERVER4, GUARDED);
    let mut stream = client::connect((&lab.clients, lab::DE4), to)?;
    client::exchange(&mut stream, BYTES)?;
    assert_eq!(container.accepted(), 1);
    cut(&weir, &mut stream)
}

/// Its socket is bound to an interface.
#[test]
fn a_flow_between_link_local_addresses() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _server = Server::start(&lab.server, (ANY, GUARDED).into(), Behaviour::Echo)?;
    let (address, _) = link_local(&lab.server, lab::WAN)?;
    let (_, scope) = link_local(&lab.clients, "net0")?;
    let weir = Weir::start(&lab.server, "interfaces = ['wan']", &scenario::guarded(""))?;
    let to = SocketAddrV6::new(address, GUARDED, 0, scope);
    let connect = || -> Result<TcpStream> {
        let socket = lab.clients.within(|| {
            let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
            socket.connect_timeout(&to.into(), SOON).map(|()| socket)
        })??;
        let mut stream = socket.into();
        client::exchange(&mut stream, BYTES)?;
        Ok(stream)
    };
    cut(&weir, &mut connect()?)?;
    // Nothing but the flow was ended.
    connect().map(drop)
}

/// The host's end is gone, and what listens on the port is not taken for it.
#[test]
fn a_flow_whose_socket_is_gone() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let server = Server::start(&lab.server, (ANY, GUARDED).into(), Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "interfaces = ['wan']", &scenario::guarded(""))?;
    let to = SocketAddr::new(lab::SERVER4, GUARDED);
    let mut stream = client::connect((&lab.clients, lab::DE4), to)?;
    client::exchange(&mut stream, BYTES)?;
    // The host forgets its end without a packet that anybody sees.
    let silence = "table inet silence {
        chain output { type filter hook output priority 0; tcp sport 7001 drop; }
    }";
    nft::load(&lab.server, silence)?;
    lab.server
        .run(&format!("ss -K sport = :{GUARDED} dport = :{}", stream.local_addr()?.port()))?;
    lab.server.run("nft delete table inet silence")?;

    cut(&weir, &mut stream)?;
    client::exchange(&mut client::connect((&lab.clients, lab::DE4), to)?, BYTES)?;
    assert_eq!(server.accepted(), 2);
    Ok(())
}

/// The link-local address of an interface, once it can be used, and its index.
fn link_local(namespace: &Namespace, interface: &str) -> Result<(Ipv6Addr, u32)> {
    let usable = || -> Option<(Ipv6Addr, u32)> {
        let shown = namespace
            .run(&format!("ip -j -6 address show dev {interface} scope link -tentative"))
            .ok()?;
        let shown: Value = serde_json::from_str(&shown).ok()?;
        let link = shown.as_array()?.iter().find(|link| link["addr_info"].is_array())?;
        // What does not match is shown as an empty object.
        let mut addresses = link["addr_info"].as_array()?.iter();
        let address = addresses.find_map(|a| a["local"].as_str())?.parse().ok()?;
        Some((address, u32::try_from(link["ifindex"].as_u64()?).ok()?))
    };
    weir_tests::wait::eventually(SOON, usable).context("no link-local address")
}
