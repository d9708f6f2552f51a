//! Thousands of UDP sessions, at once and one after another: each is recorded, and what
//! they cost in memory goes with them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use weir_tests::{
    lab::{self, Lab},
    scenario::{BACKEND, RELAYED, number},
    udp::{self, Echo},
    wait::holds,
    weir::Weir,
};

const AT_ONCE: usize = 5_000;
const IN_SEQUENCE: usize = 20_000;
/// Of clients.
const FIRST_PORT: usize = 20_000;
/// Bytes each way of a session.
const LENGTH: usize = 100;
/// Bytes that the daemon may have resident, with those at once and after all.
const MOST_MEMORY: u64 = 160 << 20;
/// For as many records as there are.
const RECORDED: Duration = Duration::from_mins(1);

/// The daemon inherits it, and both need a file for each session.
fn raise_files() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// One datagram each way, from a port that no other has: else it were the same session.
fn session(lab: &Lab, number: usize) -> Result<UdpSocket> {
    let from = SocketAddr::new(lab::DE4, u16::try_from(FIRST_PORT + number)?);
    let to = SocketAddr::new(lab::SERVER4, RELAYED);
    let socket = udp::connect_from((&lab.clients, from), to)?;
    udp::exchange(&socket, LENGTH)?;
    Ok(socket)
}

fn open(weir: &Weir<'_>) -> Result<u64> {
    let services = weir.api("/api/services")?;
    Ok(number(services["data"].get(0).context("no service")?, "open"))
}

#[test]
fn thousands_of_sessions_are_recorded_and_their_memory_is_bounded() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    raise_files()?;
    let _echo = Echo::start(&lab.server, &[IpAddr::V4(Ipv4Addr::LOCALHOST)], BACKEND)?;
    let service = format!(
        "[service.relayed]\nmode = 'udp'\nlisten = {RELAYED}\ntarget = '127.0.0.1:{BACKEND}'\n\
         max_connections = 30000\nidle_timeout = '1m'\n"
    );
    let weir = Weir::start(&lab.server, "", &service)?;
    let at_start = weir.resident()?;

    let sockets: Vec<_> =
        (0..AT_ONCE).map(|number| session(&lab, number)).collect::<Result<_>>()?;
    ensure!(open(&weir)? == AT_ONCE as u64, "{} are open", open(&weir)?);
    let at_once = weir.resident()?;
    drop(sockets);

    let short = service.replace("'1m'", "'1s'");
    weir.configure("", &short)?;
    weir.reload()?;
    for number in AT_ONCE..AT_ONCE + IN_SEQUENCE {
        session(&lab, number).with_context(|| format!("number {number}"))?;
    }
    let over = holds(RECORDED, || open(&weir).is_ok_and(|open| open == 0));
    ensure!(over, "{:?} sessions stay open", open(&weir));
    let in_the_end = weir.resident()?;
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "MiB resident: {} at the start, {} with {AT_ONCE} sessions at once, {} after \
         {IN_SEQUENCE} more",
        mib(at_start),
        mib(at_once),
        mib(in_the_end)
    );
    ensure!(at_once < MOST_MEMORY && in_the_end < MOST_MEMORY, "that is too much");

    let all = AT_ONCE + IN_SEQUENCE;
    let records = weir.wait_for_events(all, "verdict=allowed", RECORDED)?;
    ensure!(records.len() == all, "{} records of {all} sessions", records.len());
    for record in &records {
        let bytes = ["bytes_upload", "bytes_download"].map(|way| number(record, way));
        ensure!(bytes == [LENGTH as u64; 2], "{record}");
    }
    ensure!(weir.events("")?.len() == all, "there are other records");
    Ok(())
}
