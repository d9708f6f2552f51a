//! One daemon takes over from another under load: nobody is refused, nobody who is denied
//! comes through, and each connection is recorded once.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    sync::atomic::Ordering,
    time::Duration,
};

use anyhow::{Result, ensure};
use weir_tests::{
    client, kernel,
    lab::{self, Lab},
    scenario::{self, GUARDED, PLANES, RELAYED, Servers},
    server::Behaviour,
    steady::{Load, SHORT, under},
    wait::SOON,
    weir::{Superseded, Weir},
};

const RESTARTS: u32 = 20;
/// Bytes each way of what a long connection exchanges at a time.
const LONG: u64 = 300_000;
/// Who is denied, at the one plane and the other.
const DENIED: [(IpAddr, IpAddr); 2] =
    [(lab::BLOCKED4, lab::SERVER4), (lab::BLOCKED6, lab::SERVER6)];
/// How long a daemon may serve what was open when its time was over.
const DRAIN: Duration = Duration::from_secs(40);

fn start(lab: &Lab) -> Result<Weir<'_>> {
    Weir::start(&lab.server, "", &scenario::services(&scenario::blocked()))
}

fn to(port: u16) -> SocketAddr {
    SocketAddr::new(lab::SERVER4, port)
}

/// Those who are denied try both services again and again; none may be heard.
fn try_in_vain(lab: &Lab, load: &Load) -> Result<()> {
    while !load.ended.load(Ordering::Relaxed) {
        for ((client, server), (_, port)) in DENIED.into_iter().zip(PLANES) {
            let (from, to) = ((&lab.clients, client), SocketAddr::new(server, port));
            let refusal = client::refusal(from, to, Duration::from_millis(20))?;
            ensure!(refusal == Some(client::Refusal::Silence), "{client} to {to}: {refusal:?}");
        }
        let arrived = scenario::arrived(lab)?;
        ensure!(arrived == 0, "{arrived} packets came through");
    }
    Ok(())
}

/// Runs `main` under the load of all clients and of who is denied. Gives how many short
/// connections there were.
fn under_load(lab: &Lab, main: impl FnOnce(&Load) -> Result<()>) -> Result<u64> {
    scenario::count_arrivals(lab, &DENIED.map(|(client, _)| client))?;
    let load = under(Load::default(), lab, |load| try_in_vain(lab, load), main)?;
    Ok(load.made.into_inner())
}

fn connect(lab: &Lab, port: u16) -> Result<TcpStream> {
    let mut stream = client::connect((&lab.clients, lab::DE4), to(port))?;
    client::exchange(&mut stream, LONG)?;
    Ok(stream)
}

/// Asserts that there is one record of each connection, with its bytes, and that records
/// of denied attempts add up.
fn assert_recorded(lab: &Lab, weir: &Weir<'_>, short: u64, long: &[u64]) -> Result<()> {
    scenario::assert_sum(lab, weir)?;
    let all = usize::try_from(short)? + long.len();
    let records = weir.wait_for_events(all, "verdict=allowed", SOON)?;
    ensure!(records.len() == all, "{} records of {all} connections", records.len());
    let mut bytes: Vec<u64> = Vec::new();
    for record in &records {
        ensure!(record["close_reason"] == "client_closed", "{record}");
        ensure!(record["bytes_upload"] == record["bytes_download"], "{record}");
        bytes.extend(record["bytes_upload"].as_u64().filter(|bytes| *bytes != SHORT));
    }
    bytes.sort_unstable();
    let mut expected = long.to_vec();
    expected.sort_unstable();
    ensure!(bytes == expected, "{bytes:?} instead of {expected:?}");
    ensure!(weir.events("")?.iter().all(|record| record["verdict"] != "error"));
    Ok(())
}

#[test]
fn twenty_takeovers_under_load_refuse_nobody_and_lose_and_repeat_nothing() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = start(&lab)?;
    let mut before: Vec<Superseded> = Vec::new();
    // Each spans two takeovers or three.
    let mut open: Vec<(TcpStream, u64)> = Vec::new();
    let mut closed = Vec::new();
    let short = under_load(&lab, |load| {
        for round in 0..RESTARTS {
            let port = if round % 4 == 3 { GUARDED } else { RELAYED };
            open.push((connect(&lab, port)?, LONG));
            load.goes_on(40)?;
            before.push(weir.take_over()?);
            for (stream, bytes) in &mut open {
                client::exchange(stream, LONG)?;
                *bytes += LONG;
            }
            if open.len() > 2 {
                closed.push(open.remove(0).1);
            }
            load.goes_on(40)?;
        }
        Ok(())
    })?;
    closed.extend(open.drain(..).map(|(_, bytes)| bytes));
    for before in &mut before {
        ensure!(before.wait(DRAIN)?.success(), "{}", weir.log());
    }
    assert_recorded(&lab, &weir, short, &closed)?;
    ensure!(weir.stop()?.success(), "{}", weir.log());
    ensure!(kernel::nothing_attached(&lab.server)?);
    Ok(())
}
