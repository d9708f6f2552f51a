//! Relayed UDP sessions and their records, with the kernel's count.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;
use weir_tests::{
    lab::{self, Lab},
    scenario::{BACKEND, BRIEF, RELAYED, attempts, number},
    udp::{self, Echo, LARGEST},
    wait::{SOON, holds},
    weir::Weir,
};

const LOOPBACK: [IpAddr; 1] = [IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)];

/// A flow that no session came of is found within `idle_timeout` and five seconds more.
const FOUND: Duration = Duration::from_secs(20);

fn start<'a>(lab: &'a Lab, settings: &str) -> Result<Weir<'a>> {
    let service = format!(
        "[service.relayed]\nmode = 'udp'\nlisten = {RELAYED}\ntarget = '127.0.0.1:{BACKEND}'\n\
         {settings}\n"
    );
    Weir::start(&lab.server, "interfaces = ['wan']", &service)
}

fn client(lab: &Lab, source: IpAddr, server: IpAddr) -> Result<UdpSocket> {
    udp::connect((&lab.clients, source), SocketAddr::new(server, RELAYED))
}

/// The record of an echo, of which the kernel knows as much as the relay.
fn served(record: &Value, (bytes, packets): (u64, u64), close_reason: &str) {
    assert_eq!(record["verdict"], "allowed", "{record}");
    assert_eq!(record["close_reason"], close_reason, "{record}");
    assert_eq!(record["metadata"]["counted"], Value::Null, "{record}");
    for (name, expected) in [("bytes", bytes), ("packets", packets)] {
        for way in ["upload", "download"] {
            assert_eq!(number(record, &format!("{name}_{way}")), expected, "{name} {record}");
        }
    }
}

/// Sessions that the kernel did not see, as the daemon counts.
fn without_flow(weir: &Weir<'_>) -> Result<u64> {
    let status = weir.status()?;
    let losses = status["losses"].as_array().context("losses")?;
    let loss = losses.iter().find(|loss| loss["name"] == "relay_without_flow");
    Ok(number(loss.context("no such loss")?, "count"))
}

#[test]
fn what_a_session_exchanged_is_in_its_one_record() -> Result<()> {
    // Each with its number of packets over IPv4 and IPv6.
    const LENGTHS: [(usize, u64, u64); 4] =
        [(0, 1, 1), (1452, 1, 1), (1473, 2, 2), (LARGEST, 45, 46)];
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _echo = Echo::start(&lab.server, &LOOPBACK, BACKEND)?;
    let weir = start(&lab, "idle_timeout = '1s'")?;
    for (source, server) in [(lab::DE4, lab::SERVER4), (lab::DE6, lab::SERVER6)] {
        let socket = client(&lab, source, server)?;
        for (length, ..) in LENGTHS {
            udp::exchange(&socket, length)?;
        }
        let of_family = |(_, v4, v6)| if source.is_ipv4() { v4 } else { v6 };
        let packets = LENGTHS.iter().copied().map(of_family).sum();
        let bytes = LENGTHS.iter().map(|(length, ..)| *length as u64).sum();
        let record = weir.wait_for_event(&format!("source_ip={source}"), SOON)?;
        served(&record, (bytes, packets), "idle_timeout");
    }
    assert_eq!(without_flow(&weir)?, 0);
    Ok(())
}

#[test]
fn a_client_that_comes_again_has_another_session() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _echo = Echo::start(&lab.server, &LOOPBACK, BACKEND)?;
    let weir = start(&lab, "idle_timeout = '1s'")?;
    let socket = client(&lab, lab::DE4, lab::SERVER4)?;
    for session in 1..=3 {
        udp::exchange(&socket, session * 100)?;
        let records = weir.wait_for_events(session, "", SOON)?;
        served(&records[0], (session as u64 * 100, 1), "idle_timeout");
    }
    assert_eq!(without_flow(&weir)?, 0);
    Ok(())
}

/// Datagrams come when sessions end, before, between and after all that the daemon does
/// then.
#[test]
fn datagrams_at_the_end_of_sessions_are_counted_once() -> Result<()> {
    const CLIENTS: u32 = 40;
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let echo = Echo::start(&lab.server, &LOOPBACK, BACKEND)?;
    let weir = start(&lab, "idle_timeout = '1s'")?;
    let sockets: Vec<_> =
        (0..CLIENTS).map(|_| client(&lab, lab::DE4, lab::SERVER4)).collect::<Result<_>>()?;
    let (since, mut sent) = (Instant::now(), 0);
    for round in 0..4 {
        for (number, socket) in (0..CLIENTS).zip(&sockets) {
            // Of each client a little later after the end of its session before.
            let period = Duration::from_secs(1) + Duration::from_micros(500) * number;
            let at = period * round + Duration::from_millis(number.into());
            thread::sleep(at.saturating_sub(since.elapsed()));
            sent += u64::from(socket.send(b"datagram").is_ok());
        }
    }
    let (mut uploaded, mut packets) = (0, 0);
    let total = || -> Result<(u64, u64)> {
        let records = weir.events("")?;
        let sum = |name: &str| records.iter().map(|record| number(record, name)).sum();
        Ok((sum("bytes_upload"), sum("packets_upload")))
    };
    let adds_up = holds(FOUND, || {
        (uploaded, packets) = total().unwrap_or_default();
        packets == sent
    });
    assert!(adds_up, "{packets} packets of {sent} datagrams");
    assert_eq!(uploaded, 8 * sent);
    assert_eq!(echo.received(), sent);
    assert_eq!(without_flow(&weir)?, 0);
    Ok(())
}

#[test]
fn clients_over_the_limit_are_recorded_once() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let echo = Echo::start(&lab.server, &LOOPBACK, BACKEND)?;
    let weir = start(&lab, "idle_timeout = '5s'\nmax_connections = 1")?;
    let first = client(&lab, lab::DE4, lab::SERVER4)?;
    udp::exchange(&first, 100)?;
    for source in [lab::DE6, lab::FR6] {
        let refused = client(&lab, source, lab::SERVER6)?;
        for _ in 0..2 {
            assert_eq!(udp::refusal(&refused, BRIEF)?, Some(ErrorKind::TimedOut));
        }
        let record = weir.wait_for_event(&format!("source_ip={source}"), SOON)?;
        assert_eq!(record["verdict"], "error", "{record}");
        assert_eq!(record["reason"], "connection_limit", "{record}");
        assert_eq!(number(&record, "bytes_upload"), 0, "{record}");
    }
    served(&weir.wait_for_event("verdict=allowed", FOUND)?, (100, 1), "idle_timeout");
    // Of what they sent after they were refused the kernel has flows.
    no_flow_stays(&weir)?;
    assert_eq!((weir.events("")?.len(), echo.received()), (3, 1));
    Ok(())
}

/// More than the relay tells of one by one, and more than are recorded one by one.
#[test]
fn a_flood_of_clients_over_the_limit_adds_up() -> Result<()> {
    const SINGLES: usize = 50;
    let ports = 10_000..13_000;
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let echo = Echo::start(&lab.server, &LOOPBACK, BACKEND)?;
    let settings = format!(
        "idle_timeout = '5s'\nmax_connections = 1\n[log]\ndeny_records_per_second = {SINGLES}"
    );
    let weir = start(&lab, &settings)?;
    let first = client(&lab, lab::DE4, lab::SERVER4)?;
    udp::exchange(&first, 100)?;
    let since = Instant::now();
    for port in ports.clone() {
        let from = (&lab.clients, SocketAddr::new(lab::FR4, port));
        udp::connect_from(from, SocketAddr::new(lab::SERVER4, RELAYED))?.send(b"?")?;
    }
    let seconds = usize::try_from(since.elapsed().as_secs())? + 2;
    let refused = || weir.events("reason=connection_limit");
    let adds_up = || refused().is_ok_and(|records| attempts(&records) == ports.len() as u64);
    assert!(holds(FOUND, adds_up), "{} of {}", attempts(&refused()?), ports.len());
    served(&weir.wait_for_event("verdict=allowed", FOUND)?, (100, 1), "idle_timeout");
    no_flow_stays(&weir)?;
    assert!(adds_up(), "{} of {}", attempts(&refused()?), ports.len());
    // In each second the singles, one of their prefix and one of many.
    assert!(refused()?.len() <= seconds * (SINGLES + 2), "{}", refused()?.len());
    assert_eq!(echo.received(), 1);
    Ok(())
}

/// Waits until the kernel has no flow any more, and all records are made.
fn no_flow_stays(weir: &Weir<'_>) -> Result<()> {
    let gone = || weir.api("/api/flows").is_ok_and(|flows| flows["total_records"] == 0);
    assert!(holds(FOUND, gone), "{}", weir.api("/api/flows")?);
    Ok(())
}

#[test]
fn a_kill_interrupts_sessions_and_loses_nothing() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _echo = Echo::start(&lab.server, &LOOPBACK, BACKEND)?;
    let mut weir = start(&lab, "idle_timeout = '1m'")?;
    let socket = client(&lab, lab::DE4, lab::SERVER4)?;
    udp::exchange(&socket, 100)?;
    weir.kill()?;
    weir.launch()?;
    served(&weir.wait_for_event("", SOON)?, (100, 1), "interrupted");
    udp::exchange(&socket, 200)?;
    assert!(weir.stop()?.success(), "{}", weir.log());
    weir.launch()?;
    let records = weir.wait_for_events(2, "", SOON)?;
    assert_eq!(records.len(), 2);
    assert_eq!(number(&records[0], "bytes_download"), 200, "{records:#?}");
    assert_eq!(number(&records[0], "bytes_upload"), 200, "{records:#?}");
    Ok(())
}
