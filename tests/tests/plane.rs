//! The kernel plane: flows whose packets go on to a target without leaving the kernel.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::{
    client,
    lab::{self, Lab},
    plane::{
        PORT, SERVICE4, SERVICE6, TARGET, TARGET4, TARGET6, is_forwarded, ready, record, service,
        target,
    },
    scenario::{self, number},
    server::Behaviour,
    udp,
    wait::{SOON, holds},
    weir::Weir,
};

const MUCH: u64 = 20 << 20;

/// Each family's client, service and target.
const FAMILIES: [(IpAddr, SocketAddr, SocketAddr); 2] =
    [(lab::DE4, SERVICE4, TARGET4), (lab::DE6, SERVICE6, TARGET6)];

fn connect(lab: &Lab, from: IpAddr, to: SocketAddr) -> Result<TcpStream> {
    client::connect((&lab.clients, from), to).with_context(|| format!("{from} to {to}"))
}

/// What hears a reset within time.
fn assert_reset(mut stream: &TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(SOON))?;
    let heard = stream.read(&mut [0]).map_err(|error| error.kind());
    ensure!(heard == Err(ErrorKind::ConnectionReset), "{heard:?}");
    Ok(())
}

fn established_at_target(lab: &Lab) -> Result<usize> {
    Ok(lab.neighbours.run("ss -Htn state established")?.lines().count())
}

#[test]
fn streams_are_forwarded_and_counted_to_the_byte() -> Result<()> {
    for (from, to, behind) in FAMILIES {
        let Some(lab) = Lab::for_test()? else { return Ok(()) };
        let _target = target(&lab, behind, Behaviour::Tally)?;
        let weir = Weir::start(&lab.server, "", &service("tcp", &[behind], ""))?;
        ready(&weir)?;
        let mut stream = connect(&lab, from, to)?;
        assert_eq!(client::upload(&mut stream, MUCH)?, MUCH);
        drop(stream);
        let record = record(&weir)?;
        assert_eq!(number(&record, "bytes_upload"), MUCH, "{record:#}");
        assert_eq!(number(&record, "bytes_download"), 8, "{record:#}");
        assert_eq!(record["target"], behind.to_string(), "{record:#}");
        assert_eq!(record["source_ip"], from.to_string(), "{record:#}");
        assert_eq!(record["verdict"], "allowed", "{record:#}");
        assert_eq!(record["close_reason"], "client_closed", "{record:#}");
        assert_eq!(record["metadata"]["partial"], Value::Null, "{record:#}");
    }
    Ok(())
}

#[test]
fn a_half_that_is_closed_leaves_the_other_open() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = target(&lab, TARGET4, Behaviour::Source(MUCH))?;
    let weir = Weir::start(&lab.server, "", &service("tcp", &[TARGET4], ""))?;
    ready(&weir)?;
    let mut stream = connect(&lab, lab::DE4, SERVICE4)?;
    assert_eq!(client::discard(&mut stream)?, MUCH);
    stream.write_all(b"after the target's end")?;
    drop(stream);
    let record = record(&weir)?;
    assert_eq!(number(&record, "bytes_download"), MUCH, "{record:#}");
    assert_eq!(number(&record, "bytes_upload"), 22, "{record:#}");
    assert_eq!(record["close_reason"], "target_closed", "{record:#}");
    Ok(())
}

#[test]
fn datagrams_are_forwarded_and_counted_each() -> Result<()> {
    for (from, to, behind) in FAMILIES {
        let Some(lab) = Lab::for_test()? else { return Ok(()) };
        let echo = udp::Echo::start(&lab.neighbours, &[behind.ip()], TARGET)?;
        let tables = service("udp", &[behind], "idle_timeout = '1s'");
        let weir = Weir::start(&lab.server, "", &tables)?;
        ready(&weir)?;
        let socket = udp::connect((&lab.clients, from), to)?;
        for length in [0, 1, 2, 3, 500, 1400] {
            udp::exchange(&socket, length)?;
        }
        assert_eq!(echo.received(), 6);
        let record = record(&weir)?;
        assert_eq!(number(&record, "bytes_upload"), 1906, "{record:#}");
        assert_eq!(number(&record, "bytes_download"), 1906, "{record:#}");
        assert_eq!(number(&record, "packets_upload"), 6, "{record:#}");
        assert_eq!(record["target"], behind.to_string(), "{record:#}");
        assert_eq!(record["close_reason"], "idle_timeout", "{record:#}");
    }
    Ok(())
}

/// The target sees an address of this host and a port of the configured ones; nothing of
/// the host is changed for it.
#[test]
fn targets_see_this_host_and_the_host_stays_as_it_is() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = target(&lab, TARGET4, Behaviour::Echo)?;
    let kernel = "nat_ports = '20000-20999'";
    let weir = Weir::start(&lab.server, kernel, &service("tcp", &[TARGET4], ""))?;
    ready(&weir)?;
    let mut stream = connect(&lab, lab::DE4, SERVICE4)?;
    client::exchange(&mut stream, 1)?;
    let peers = lab.neighbours.run("ss -Htn state established")?;
    let peer = peers.split_whitespace().last().context("no connection")?.to_owned();
    let peer: SocketAddr = peer.parse()?;
    assert_eq!(peer.ip(), lab::SERVER_LAN4);
    assert!((20_000..=20_999).contains(&peer.port()), "{peer}");
    let forwards = lab.server.run("cat /proc/sys/net/ipv4/ip_forward")?;
    assert_eq!(forwards.trim(), "0");
    Ok(())
}

#[test]
fn targets_see_the_client_where_they_are_to() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    lab.neighbours.ip("route add 198.51.100.0/24 via 198.18.0.1")?;
    let _target = target(&lab, TARGET4, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &service("tcp", &[TARGET4], "source = 'client'"))?;
    ready(&weir)?;
    let mut stream = connect(&lab, lab::DE4, SERVICE4)?;
    client::exchange(&mut stream, MUCH)?;
    let peers = lab.neighbours.run("ss -Htn state established")?;
    let peer = peers.split_whitespace().last().context("no connection")?.to_owned();
    assert_eq!(peer.parse::<SocketAddr>()?, stream.local_addr()?);
    drop(stream);
    assert_eq!(number(&record(&weir)?, "bytes_upload"), MUCH);
    Ok(())
}

#[test]
fn resets_pass_both_ways() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _resets = target(&lab, TARGET4, Behaviour::Reset)?;
    let weir = Weir::start(&lab.server, "", &service("tcp", &[TARGET4], ""))?;
    ready(&weir)?;
    let mut stream = connect(&lab, lab::DE4, SERVICE4)?;
    stream.write_all(b"?")?;
    assert_reset(&stream)?;
    assert_eq!(record(&weir)?["close_reason"], "target_reset");

    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _holds = target(&lab, TARGET4, Behaviour::Hold)?;
    let weir = Weir::start(&lab.server, "", &service("tcp", &[TARGET4], ""))?;
    ready(&weir)?;
    let stream = connect(&lab, lab::DE4, SERVICE4)?;
    ensure!(holds(SOON, || established_at_target(&lab).is_ok_and(|count| count == 1)));
    client::reset(stream)?;
    ensure!(holds(SOON, || established_at_target(&lab).is_ok_and(|count| count == 0)));
    assert_eq!(record(&weir)?["close_reason"], "client_reset");
    Ok(())
}

#[test]
fn an_idle_flow_is_ended_at_both_ends() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = target(&lab, TARGET4, Behaviour::Hold)?;
    let tables = service("tcp", &[TARGET4], "idle_timeout = '2s'");
    let weir = Weir::start(&lab.server, "", &tables)?;
    ready(&weir)?;
    let mut stream = connect(&lab, lab::DE4, SERVICE4)?;
    stream.write_all(b"hello")?;
    assert_reset(&stream)?;
    ensure!(holds(SOON, || established_at_target(&lab).is_ok_and(|count| count == 0)));
    let record = record(&weir)?;
    assert_eq!(record["close_reason"], "idle_timeout", "{record:#}");
    assert_eq!(number(&record, "bytes_upload"), 5, "{record:#}");
    Ok(())
}

/// One that a new policy denies is cut at both ends, another's goes on.
#[test]
fn a_new_policy_cuts_whom_it_denies_and_nobody_else() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = target(&lab, TARGET4, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &service("tcp", &[TARGET4], ""))?;
    ready(&weir)?;
    let mut denied = connect(&lab, lab::BLOCKED4, SERVICE4)?;
    let mut stays = connect(&lab, lab::FR4, SERVICE4)?;
    client::exchange(&mut denied, 1)?;
    client::exchange(&mut stays, 1)?;
    let blocking = format!("block = ['{}']", lab::BLOCKED4_CIDR);
    weir.configure("", &service("tcp", &[TARGET4], &blocking))?;
    weir.reload()?;
    assert_reset(&denied)?;
    ensure!(holds(SOON, || established_at_target(&lab).is_ok_and(|count| count == 1)));
    client::exchange(&mut stays, 1 << 20)?;
    let cut = record(&weir)?;
    assert_eq!(cut["close_reason"], "policy_changed", "{cut:#}");
    assert_eq!(cut["source_ip"], lab::BLOCKED4.to_string(), "{cut:#}");
    scenario::assert_denied(&lab, lab::BLOCKED4, SERVICE4)
}

#[test]
fn a_service_that_goes_takes_its_flows_along() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = target(&lab, TARGET4, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &service("tcp", &[TARGET4], ""))?;
    ready(&weir)?;
    let mut stream = connect(&lab, lab::DE4, SERVICE4)?;
    client::exchange(&mut stream, 1)?;
    weir.configure("", "")?;
    weir.reload()?;
    assert_reset(&stream)?;
    ensure!(holds(SOON, || established_at_target(&lab).is_ok_and(|count| count == 0)));
    assert_eq!(record(&weir)?["close_reason"], "service_removed");
    ensure!(connect(&lab, lab::DE4, SERVICE4).is_err(), "it is served still");
    Ok(())
}

/// Whom the plane does not take the relay serves, at the same address.
#[test]
fn clients_of_this_host_and_without_a_port_are_the_relays() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = target(&lab, TARGET4, Behaviour::Echo)?;
    let tables = service("tcp", &[TARGET4], "");
    let weir = Weir::start(&lab.server, "nat_ports = '20000-20002'", &tables)?;
    ready(&weir)?;
    let mut local = client::connect((&lab.server, lab::SERVER4), SERVICE4)?;
    client::exchange(&mut local, 10)?;
    let mut many = Vec::new();
    for _ in 0..5 {
        let mut stream = connect(&lab, lab::DE4, SERVICE4)?;
        client::exchange(&mut stream, 10)?;
        many.push(stream);
    }
    drop((local, many));
    let records = weir.wait_for_events(6, "", SOON)?;
    assert_eq!(records.len(), 6, "{records:#?}");
    let forwarded = records.iter().filter(|record| is_forwarded(record)).count();
    assert_eq!(forwarded, 3, "{records:#?}");
    assert!(records.iter().all(|record| number(record, "bytes_upload") == 10), "{records:#?}");
    Ok(())
}

/// `max_connections` is for both planes: who comes beyond is refused by the relay.
#[test]
fn a_limit_holds_over_both_planes() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = target(&lab, TARGET4, Behaviour::Echo)?;
    let tables = service("tcp", &[TARGET4], "max_connections = 2");
    let weir = Weir::start(&lab.server, "", &tables)?;
    ready(&weir)?;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&lab, lab::DE4, SERVICE4)?;
        client::exchange(&mut stream, 1)?;
        open.push(stream);
    }
    let refused = || {
        client::refusal((&lab.clients, lab::FR4), SERVICE4, SOON)
            .is_ok_and(|refusal| refusal == Some(client::Refusal::Reset))
    };
    ensure!(holds(SOON, refused), "a third is served");
    weir.wait_for_events(1, "reason=connection_limit", SOON)?;
    drop(open);
    ensure!(holds(SOON, || !refused()), "nobody is served any more");
    Ok(())
}

/// A way that carries less than the client's link: its SYN is made to ask for less.
#[test]
fn segments_are_no_larger_than_the_way_carries() -> Result<()> {
    for (from, to, behind) in FAMILIES {
        let Some(lab) = Lab::for_test()? else { return Ok(()) };
        for (namespace, interface) in [(&lab.server, lab::LAN), (&lab.neighbours, "net0")] {
            namespace.ip(&format!("link set {interface} mtu 1400"))?;
        }
        let _target = target(&lab, behind, Behaviour::Echo)?;
        let weir = Weir::start(&lab.server, "", &service("tcp", &[behind], ""))?;
        ready(&weir)?;
        let mut stream = connect(&lab, from, to)?;
        client::exchange(&mut stream, MUCH)?;
        let shown = lab.clients.run(&format!("ss -Htin dport = {PORT}"))?;
        let header = if to.is_ipv4() { 40 } else { 60 };
        let mss = format!(" mss:{}", 1400 - header - 12);
        ensure!(shown.contains(&mss), "no{mss} in {shown}");
    }
    Ok(())
}

/// For a while: long enough that nothing may come.
const BRIEF: Duration = Duration::from_millis(300);

/// A way that carries less beyond what this host knows of: who is told of it sends less.
#[test]
fn who_sends_too_much_at_once_is_told() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    lab.server.ip("link set lan mtu 1400")?;
    let echo = udp::Echo::start(&lab.neighbours, &[TARGET4.ip()], TARGET)?;
    let weir = Weir::start(&lab.server, "", &service("udp", &[TARGET4], ""))?;
    ready(&weir)?;
    let socket = udp::connect((&lab.clients, lab::DE4), SERVICE4)?;
    udp::exchange(&socket, 1000)?;
    // Linux sends datagrams that must not be taken apart, and hears of the limit.
    ensure!(udp::refusal(&socket, BRIEF)?.is_none());
    socket.send(&[0; 1450])?;
    ensure!(
        holds(
            SOON,
            || matches!(socket.send(&[0; 1450]), Err(error) if error.kind() == ErrorKind::InvalidInput || error.raw_os_error() == Some(90))
        ),
        "the client was not told"
    );
    assert_eq!(echo.received(), 2);
    Ok(())
}
