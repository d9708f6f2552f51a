//! Kinds of interfaces that services are reached by: each is watched, and what comes by
//! it is judged and recorded like any other.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use serde_json::Value;
use weir_tests::{
    client::{self, Refusal},
    lab::{Lab, assign},
    ns::{Namespace, link},
    scenario::{self, BRIEF, PLANES, Servers},
    server::Behaviour,
    skip::skip,
    tunnel::{TUNNEL, Tunnel},
    wait::SOON,
    weir::Weir,
};

const BYTES: u64 = 100_000;
/// The server's on the interface in question.
const SERVER: [&str; 2] = ["198.18.9.1", "2001:db8:29::1"];
/// A client's behind it,
const WELCOME: [&str; 2] = ["198.18.9.2", "2001:db8:29::2"];
/// and another's, who is denied.
const DENIED: [&str; 2] = ["198.18.9.66", "2001:db8:29::66"];
const RULE: &str = "blocked_cidrs = ['198.18.9.66', '2001:db8:29::66']";

/// Gives an interface an address of each family.
fn assign_both(namespace: &Namespace, interface: &str, [v4, v6]: [&str; 2]) -> Result<()> {
    assign(namespace, interface, &[&format!("{v4}/24"), &format!("{v6}/64")])
}

/// Gives a client's interface the addresses of both clients.
fn assign_clients(namespace: &Namespace, interface: &str) -> Result<()> {
    assign_both(namespace, interface, WELCOME)?;
    assign_both(namespace, interface, DENIED)
}

/// Every client behind `interface` is served or denied, and recorded as coming by it.
fn judged_and_recorded(lab: &Lab, clients: &Namespace, interface: &str) -> Result<()> {
    let _servers = Servers::start(lab, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &scenario::services(RULE))?;
    for (service, port) in PLANES {
        for family in 0..2 {
            let to = SocketAddr::new(SERVER[family].parse()?, port);
            served(&weir, service, (clients, WELCOME[family].parse()?), to)
                .with_context(|| format!("{service} by {interface}"))?;
            let from: IpAddr = DENIED[family].parse()?;
            let refusal = client::refusal((clients, from), to, BRIEF)?;
            assert_eq!(refusal, Some(Refusal::Silence), "{service} by {interface}");
            let query = format!("service_id={service}&source_ip={from}");
            let record = weir.wait_for_event(&query, SOON)?;
            assert_eq!(record["reason"], "ip_restricted", "{record}");
            assert_eq!(record["metadata"]["interface"], interface, "{record}");
            assert_eq!(record["metadata"]["hook"], "tc", "{record}");
        }
    }
    Ok(())
}

fn served(
    weir: &Weir<'_>,
    service: &str,
    from: (&Namespace, IpAddr),
    to: SocketAddr,
) -> Result<()> {
    let mut stream = client::connect(from, to)?;
    client::exchange(&mut stream, BYTES)?;
    drop(stream);
    let record =
        weir.wait_for_event(&format!("service_id={service}&source_ip={}", from.1), SOON)?;
    assert_eq!(record["verdict"], "allowed", "{record}");
    assert_eq!(record["bytes_upload"], BYTES, "{record}");
    assert_eq!(record["bytes_download"], BYTES, "{record}");
    assert_eq!(record["metadata"]["partial"], Value::Null, "{record}");
    Ok(())
}

#[test]
fn a_bridge_of_containers() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let container = Namespace::create("container")?;
    lab.server.ip("link add docker0 type bridge")?;
    link((&lab.server, "port"), (&container, "eth0"))?;
    lab.server.ip("link set port master docker0")?;
    assign_both(&lab.server, "docker0", SERVER)?;
    lab.server.ip("link set docker0 up")?;
    assign_clients(&container, "eth0")?;
    judged_and_recorded(&lab, &container, "docker0")
}

#[test]
fn a_tunnel_without_a_link_layer() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let Some(_tunnel) = Tunnel::for_test(&lab)? else { return Ok(()) };
    assign_both(&lab.server, TUNNEL, SERVER)?;
    assign_clients(&lab.neighbours, TUNNEL)?;
    judged_and_recorded(&lab, &lab.neighbours, TUNNEL)
}

#[test]
fn a_vlan() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    for (namespace, parent) in [(&lab.server, "lan"), (&lab.neighbours, "net0")] {
        if namespace.ip(&format!("link add link {parent} name vlan7 type vlan id 7")).is_err() {
            skip("this kernel has no VLANs");
            return Ok(());
        }
        namespace.ip("link set vlan7 up")?;
    }
    assign_both(&lab.server, "vlan7", SERVER)?;
    assign_clients(&lab.neighbours, "vlan7")?;
    judged_and_recorded(&lab, &lab.neighbours, "vlan7")
}
