//! The kernel plane's ways: over links that lose and carry little, and with several uplinks.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use weir_tests::{
    client,
    lab::{self, Lab, assign},
    nft,
    ns::{Namespace, link},
    plane::{PORT, SERVICE4, SERVICE6, TARGET, TARGET4, TARGET6, ready, record, service, target},
    scenario::number,
    server::{Behaviour, Server},
    tunnel::{TUNNEL, Tunnel},
    weir::Weir,
};

const MUCH: u64 = 8 << 20;

/// Has a client exchange much with the service's target; the record tells all of it.
fn assert_exchanges(
    weir: &Weir<'_>,
    from: (&Namespace, IpAddr),
    to: SocketAddr,
    behind: SocketAddr,
) -> Result<()> {
    let mut stream = client::connect(from, to).with_context(|| format!("to {to}"))?;
    client::exchange(&mut stream, MUCH)?;
    drop(stream);
    let record = record(weir)?;
    assert_eq!(number(&record, "bytes_upload"), MUCH, "{record:#}");
    assert_eq!(number(&record, "bytes_download"), MUCH, "{record:#}");
    assert_eq!(record["target"], behind.to_string(), "{record:#}");
    Ok(())
}

#[test]
fn what_is_lost_is_counted_once() -> Result<()> {
    for (from, to, behind) in [(lab::DE4, SERVICE4, TARGET4), (lab::DE6, SERVICE6, TARGET6)] {
        let Some(lab) = Lab::for_test()? else { return Ok(()) };
        let _target = target(&lab, behind, Behaviour::Echo)?;
        let weir = Weir::start(&lab.server, "", &service("tcp", &[behind], ""))?;
        ready(&weir)?;
        for namespace in [&lab.clients, &lab.neighbours] {
            nft::lose_one_percent(namespace, "meta l4proto tcp")?;
        }
        assert_exchanges(&weir, (&lab.clients, from), to, behind)?;
    }
    Ok(())
}

/// Targets behind a router.
const FAR4: SocketAddr = SocketAddr::new(lab::v4([198, 19, 0, 2]), TARGET);
const FAR6: SocketAddr = SocketAddr::new(lab::v6(0x19, 2), TARGET);

/// A namespace behind the neighbours, who route; the server has no route there yet.
fn behind_a_router(lab: &Lab) -> Result<Namespace> {
    let far = Namespace::create("far")?;
    link((&lab.neighbours, "far"), (&far, "net0"))?;
    assign(&lab.neighbours, "far", &["198.19.0.1/24", "2001:db8:19::1/64"])?;
    assign(&far, "net0", &["198.19.0.2/24", "2001:db8:19::2/64"])?;
    for family in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        lab.neighbours.sysctl(&format!("net/{family}"), "1")?;
    }
    far.ip("route add 198.18.0.0/24 via 198.19.0.1")?;
    far.ip("-6 route add 2001:db8:18::/64 via 2001:db8:19::1")?;
    Ok(far)
}

/// A router of the other family takes packets as well (RFC 5549): to a target, and to a
/// client.
#[test]
fn a_router_may_be_of_the_other_family() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let far = behind_a_router(&lab)?;
    lab.server.ip("route add 198.19.0.0/24 via inet6 2001:db8:18::2")?;
    let _target = Server::start(&far, FAR4, Behaviour::Echo)?;
    let _neighbour = target(&lab, TARGET4, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &service("tcp", &[FAR4], ""))?;
    ready(&weir)?;
    assert_exchanges(&weir, (&lab.clients, lab::DE4), SERVICE4, FAR4)?;
    drop(weir);

    let back = SocketAddr::new(lab::SERVER_LAN4, PORT);
    let weir = Weir::start(&lab.server, "", &service("tcp", &[TARGET4], ""))?;
    ready(&weir)?;
    assert_exchanges(&weir, (&far, FAR4.ip()), back, TARGET4)
}

/// As `WireGuard`'s, tun's and PPP's: clients come by it, or targets are behind it.
#[test]
fn a_link_without_ethernet_carries_flows_both_ways() -> Result<()> {
    const NEAR4: IpAddr = lab::v4([198, 18, 9, 1]);
    const FAR4: IpAddr = lab::v4([198, 18, 9, 2]);
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let Some(_tunnel) = Tunnel::for_test(&lab)? else { return Ok(()) };
    let (near6, far6) = (lab::v6(0x29, 1), lab::v6(0x29, 2));
    assign(&lab.server, TUNNEL, &["198.18.9.1/24", "2001:db8:29::1/64"])?;
    assign(&lab.neighbours, TUNNEL, &["198.18.9.2/24", "2001:db8:29::2/64"])?;
    let families = [(NEAR4, FAR4, (lab::DE4, SERVICE4)), (near6, far6, (lab::DE6, SERVICE6))];
    for (near, far, (elsewhere, service_there)) in families {
        let (clients, tunnel) = ((&lab.clients, elsewhere), (&lab.neighbours, far));
        for (from, to, at) in
            [(tunnel, SocketAddr::new(near, PORT), clients), (clients, service_there, tunnel)]
        {
            let behind = SocketAddr::new(at.1, TARGET);
            let _target = Server::start(at.0, behind, Behaviour::Echo)?;
            let weir = Weir::start(&lab.server, "", &service("tcp", &[behind], ""))?;
            ready(&weir)?;
            assert_exchanges(&weir, from, to, behind)?;
        }
    }
    Ok(())
}

/// Beyond a router that this host's link knows nothing of: it says so to this host, whose
/// client sends less from then on.
#[test]
fn a_narrow_way_behind_a_router_is_found_out() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let far = behind_a_router(&lab)?;
    // On the router's side alone: the target goes on to ask for segments of 1,460 bytes.
    lab.neighbours.ip("link set far mtu 1400")?;
    lab.server.ip("route add 198.19.0.0/24 via 198.18.0.2")?;
    lab.server.ip("-6 route add 2001:db8:19::/64 via 2001:db8:18::2")?;
    for (from, to, behind) in [(lab::DE4, SERVICE4, FAR4), (lab::DE6, SERVICE6, FAR6)] {
        let _target = Server::start(&far, behind, Behaviour::Tally)?;
        let weir = Weir::start(&lab.server, "", &service("tcp", &[behind], ""))?;
        ready(&weir)?;
        let mut stream = client::connect((&lab.clients, from), to)?;
        assert_eq!(client::upload(&mut stream, MUCH)?, MUCH, "{to}");
        drop(stream);
        assert_eq!(number(&record(&weir)?, "bytes_upload"), MUCH);
    }
    Ok(())
}

/// Answers leave by the route to the client, whichever uplink it came by; where there is
/// none, by the way that it came.
#[test]
fn answers_leave_by_the_route_or_by_the_way_they_were_asked() -> Result<()> {
    for has_route in [true, false] {
        let Some(lab) = Lab::for_test()? else { return Ok(()) };
        link((&lab.server, "wan2"), (&lab.clients, "net1"))?;
        assign(&lab.server, "wan2", &["192.0.3.1/24", "2001:db8:33::1/64"])?;
        assign(&lab.clients, "net1", &["192.0.3.254/24", "2001:db8:33::fe/64"])?;
        if !has_route {
            lab.server.ip("route del default")?;
            lab.server.ip("-6 route del default")?;
        }
        let second4: IpAddr = [192, 0, 3, 1].into();
        let second6: IpAddr = "2001:db8:33::1".parse()?;
        for (from, to, behind) in [(lab::FR4, second4, TARGET4), (lab::FR6, second6, TARGET6)] {
            let _target = target(&lab, behind, Behaviour::Echo)?;
            let weir = Weir::start(&lab.server, "", &service("tcp", &[behind], ""))?;
            ready(&weir)?;
            let link = if has_route { "wan" } else { "wan2" };
            let before = sent(&lab.server, link)?;
            let to = SocketAddr::new(to, PORT);
            assert_exchanges(&weir, (&lab.clients, from), to, behind)?;
            let bytes = sent(&lab.server, link)? - before;
            ensure!(bytes > MUCH, "{bytes} bytes left by {link}");
        }
    }
    Ok(())
}

/// Bytes that left by an interface.
fn sent(namespace: &Namespace, interface: &str) -> Result<u64> {
    let shown = namespace.ip(&format!("-j -s link show dev {interface}"))?;
    let shown: serde_json::Value = serde_json::from_str(&shown)?;
    shown[0]["stats64"]["tx"]["bytes"].as_u64().context("no count")
}
