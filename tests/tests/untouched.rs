//! What Weir leaves alone: all that is not to an address of the server and a
//! service's port. Every client here is denied by the services.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use serde_json::Value;
use weir_tests::{
    client::{self, Refusal},
    kernel,
    lab::{self, Lab, assign},
    ns::{Namespace, link},
    ping::ping,
    scenario::{self, BRIEF, GUARDED, PLANES, Servers},
    server::{Behaviour, Server},
    wait::SOON,
    weir::Weir,
};

const NOBODY: &str = "blocked_cidrs = ['0.0.0.0/0', '::/0']";
const ANY: IpAddr = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);
const HOOKS: [&str; 3] = ["tc", "xdp-native", "xdp-generic"];

fn start<'a>(lab: &'a Lab, hook: &str, interfaces: &str) -> Result<Weir<'a>> {
    let kernel = format!("hook = '{hook}'\ninterfaces = [{interfaces}]");
    Weir::start(&lab.server, &kernel, &scenario::services(NOBODY))
}

/// Restrictions are in force, and have met nobody so far: what passed did so because
/// Weir left it alone.
fn assert_first_denied(
    lab: &Lab,
    weir: &Weir<'_>,
    from: (&Namespace, IpAddr),
    to: IpAddr,
) -> Result<()> {
    assert_eq!(kernel::denied_attempts(&lab.server)?, 0);
    let refusal = client::refusal(from, SocketAddr::new(to, GUARDED), BRIEF)?;
    assert_eq!(refusal, Some(Refusal::Silence));
    let record = weir.wait_for_event("", SOON)?;
    assert_eq!(record["verdict"], "denied", "{record}");
    assert_eq!(record["source_ip"], from.1.to_string(), "{record}");
    Ok(())
}

fn assert_served(from: (&Namespace, IpAddr), to: SocketAddr) -> Result<()> {
    let mut stream = client::connect(from, to).with_context(|| format!("{} to {to}", from.1))?;
    client::exchange(&mut stream, 100_000).with_context(|| format!("{} to {to}", from.1))
}

#[test]
fn routed_packets_to_the_same_port() -> Result<()> {
    for hook in HOOKS {
        let Some(lab) = Lab::for_test()? else { return Ok(()) };
        lab.server.sysctl("net/ipv4/ip_forward", "1")?;
        lab.server.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        lab.neighbours.ip("route add default via 198.18.0.1")?;
        lab.neighbours.ip("-6 route add default via 2001:db8:18::1")?;
        lab.clients.ip("-6 route add default via 2001:db8:77::1")?;
        let weir = start(&lab, hook, "'wan', 'lan'")?;
        let _behind = Server::start(&lab.neighbours, (ANY, GUARDED).into(), Behaviour::Echo)?;

        assert_served((&lab.clients, lab::FR4), (lab::LAN_FR4, GUARDED).into())?;
        assert_served((&lab.clients, lab::FR6), (lab::LAN_FR6, GUARDED).into())?;
        assert_first_denied(&lab, &weir, (&lab.clients, lab::FR4), lab::SERVER4)?;
    }
    Ok(())
}

#[test]
fn bridged_packets_to_the_same_port() -> Result<()> {
    for hook in HOOKS {
        let Some(lab) = Lab::for_test()? else { return Ok(()) };
        let (left, right) = (Namespace::create("left")?, Namespace::create("right")?);
        lab.server.ip("link add br0 type bridge")?;
        for (name, side, addresses) in [
            ("left", &left, ["198.18.1.2/24", "2001:db8:19::2/64"]),
            ("right", &right, ["198.18.1.3/24", "2001:db8:19::3/64"]),
        ] {
            link((&lab.server, name), (side, "net0"))?;
            lab.server.ip(&format!("link set {name} master br0"))?;
            assign(side, "net0", &addresses)?;
        }
        assign(&lab.server, "br0", &["198.18.1.1/24", "2001:db8:19::1/64"])?;
        lab.server.ip("link set br0 up")?;
        // A bridge's own interface has no driver that runs XDP.
        let kernel = format!("hook = {{ left = '{hook}', right = '{hook}', br0 = 'tc' }}");
        let kernel = kernel + "\ninterfaces = ['left', 'right', 'br0']";
        let weir = Weir::start(&lab.server, &kernel, &scenario::services(NOBODY))?;
        assert_eq!(kernel::hook_in_use(&lab.server, "left")?, Some(hook));
        let _behind = Server::start(&right, (ANY, GUARDED).into(), Behaviour::Echo)?;

        for (client, server) in [("198.18.1.2", "198.18.1.3"), ("2001:db8:19::2", "2001:db8:19::3")]
        {
            let to = SocketAddr::new(server.parse()?, GUARDED);
            assert_served((&left, client.parse()?), to).context(hook)?;
        }
        assert_first_denied(&lab, &weir, (&left, "198.18.1.2".parse()?), "198.18.1.1".parse()?)?;
    }
    Ok(())
}

#[test]
fn neighbours_ping_and_other_ports() -> Result<()> {
    for hook in HOOKS {
        let Some(lab) = Lab::for_test()? else { return Ok(()) };
        let weir = start(&lab, hook, "'wan'")?;
        let other = Server::start(&lab.server, (ANY, GUARDED + 900).into(), Behaviour::Echo)?;
        for (client, server) in [(lab::FR4, lab::SERVER4), (lab::FR6, lab::SERVER6)] {
            // Whoever pings now has to be found by ARP or neighbour discovery.
            lab.server.ip("neigh flush dev wan")?;
            lab.clients.ip("neigh flush dev net0")?;
            ping((&lab.clients, client), server, SOON)?;
            assert_served((&lab.clients, client), (server, other.address().port()).into())?;
        }
        assert_datagram_arrives(&lab)?;
        assert_first_denied(&lab, &weir, (&lab.clients, lab::FR6), lab::SERVER6)?;
    }
    Ok(())
}

/// UDP to a port that is a service's only for TCP.
fn assert_datagram_arrives(lab: &Lab) -> Result<()> {
    use std::net::UdpSocket;
    let receiver = lab.server.within(|| UdpSocket::bind((lab::SERVER4, GUARDED)))??;
    let sender = lab.clients.within(|| UdpSocket::bind((lab::FR4, 0)))??;
    receiver.set_read_timeout(Some(SOON))?;
    sender.send_to(b"hello", (lab::SERVER4, GUARDED))?;
    assert_eq!(receiver.recv(&mut [0; 16])?, 5);
    Ok(())
}

/// Someone else's filter on the same interface, behind ours: it sees what passes,
/// and nothing of what does not.
#[test]
fn a_second_tc_program_sees_what_passes() -> Result<()> {
    for hook in HOOKS {
        let Some(lab) = Lab::for_test()? else { return Ok(()) };
        lab.server.ip("link add spare0 type veth peer name spare1")?;
        let kernel = format!("hook = '{hook}'\ninterfaces = ['wan']");
        let access = scenario::blocked();
        let _weir = Weir::start(&lab.server, &kernel, &scenario::services(&access))?;
        let _servers = Servers::start(&lab, Behaviour::Echo)?;
        lab.server.run("tc qdisc add dev wan clsact")?;
        for (_, port) in PLANES {
            for (denied, allowed, server) in
                [(lab::BLOCKED4, lab::DE4, lab::SERVER4), (lab::BLOCKED6, lab::DE6, lab::SERVER6)]
            {
                let to = SocketAddr::new(server, port);
                let place = mirror(&lab, to)?;
                let refusal = client::refusal((&lab.clients, denied), to, BRIEF)?;
                assert_eq!(refusal, Some(Refusal::Silence), "{hook}: {denied}");
                assert_eq!(mirrored(&lab, place)?, 0, "{hook}: {denied}");
                assert_served((&lab.clients, allowed), to)?;
                assert!(mirrored(&lab, place)? > 0, "{hook}: {allowed}");
            }
        }
    }
    Ok(())
}

/// Adds a filter for what goes to `to`; its place in the chain. Mirroring is the
/// plainest action that counts.
fn mirror(lab: &Lab, to: SocketAddr) -> Result<u16> {
    let (protocol, header, place) =
        if to.is_ipv4() { ("ip", "ip", to.port()) } else { ("ipv6", "ip6", to.port() + 1000) };
    lab.server.run(&format!(
        "tc filter add dev wan ingress protocol {protocol} prio {place} u32 \
         match {header} dport {} 0xffff action mirred egress mirror dev spare0",
        to.port()
    ))?;
    Ok(place)
}

/// Packets that the filter in this place has seen.
fn mirrored(lab: &Lab, place: u16) -> Result<u64> {
    let text = lab.server.run("tc -s -j filter show dev wan ingress")?;
    let filters: Vec<Value> = serde_json::from_str(&text)?;
    let ours = filters.iter().filter(|filter| filter["pref"] == place);
    let counts = ours.filter_map(|f| f["options"]["actions"][0]["stats"]["packets"].as_u64());
    Ok(counts.sum())
}
