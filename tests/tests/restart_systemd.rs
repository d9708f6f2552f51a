//! Restarts and crashes under systemd, which holds the listening sockets meanwhile: nobody
//! is refused, and each connection is recorded once.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::{
    client, kernel,
    lab::{self, Lab},
    scenario::{self, RELAYED, Servers},
    server::Behaviour,
    steady::{Load, SHORT, under},
    systemd::{Manager, UNIT, serve},
    wait::{SOON, holds},
    weir::Weir,
};

const RESTARTS: u32 = 20;
/// Bytes each way of a connection that is open at a crash.
const LONG: u64 = 300_000;

fn to(port: u16) -> SocketAddr {
    SocketAddr::new(lab::SERVER4, port)
}

fn start(lab: &Lab) -> Result<Option<(Manager, Weir<'_>)>> {
    serve(lab, &scenario::services(&scenario::blocked()))
}

/// As a service: systemd holds the listening sockets while no Weir runs.
#[test]
fn twenty_restarts_by_systemd_refuse_nobody_and_lose_and_repeat_nothing() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let Some((systemd, weir)) = start(&lab)? else { return Ok(()) };
    let tries = AtomicU64::new(0);
    let denied = |load: &Load| insist_in_vain(&lab, load, &tries);
    let load = under(Load::default(), &lab, denied, |load| {
        for _ in 0..RESTARTS {
            load.goes_on(40)?;
            systemd.ask(&["restart", UNIT]).with_context(|| weir.log())?;
        }
        load.goes_on(200)
    })?;
    let short = load.made.into_inner();
    let all = usize::try_from(short)?;
    assert_counted(&weir, short)?;
    let records = weir.events("verdict=allowed")?;
    ensure!(records.len() == all, "{} records of {all} connections", records.len());
    for record in records {
        let bytes = ["bytes_upload", "bytes_download"].map(|way| scenario::number(&record, way));
        ensure!(bytes == [SHORT, SHORT], "{record}");
    }
    // Of who is denied, the last packets may meet both judges where programs are attached
    // just then: the relay has reset it, and the kernel drops what it still sends.
    let (tries, mut told) = (tries.into_inner(), 0);
    let once = tries..=tries + u64::from(RESTARTS);
    let adds_up = holds(SOON, || {
        told = weir.events("verdict=denied").map_or(0, |records| scenario::attempts(&records));
        once.contains(&told)
    });
    println!("{tries} attempts in vain, {told} in records");
    ensure!(adds_up, "{tries} attempts in vain, {told} in records");

    // A service that goes for good leaves nothing that listens.
    systemd.ask(&["stop", UNIT])?;
    ensure!(systemd.property(UNIT, "NFileDescriptorStore")? == "0");
    let fate = scenario::fate(&lab, lab::DE4, RELAYED)?;
    ensure!(fate == Some(client::Refusal::Reset), "{fate:?}");
    ensure!(kernel::nothing_attached(&lab.server)?);
    Ok(())
}

/// Who comes after a crash waits for the next process, and what the crash cut is recorded
/// beside it.
#[test]
fn a_crash_under_systemd_refuses_nobody() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let Some((systemd, weir)) = start(&lab)? else { return Ok(()) };
    let mut cut = client::connect((&lab.clients, lab::DE4), to(RELAYED))?;
    client::exchange(&mut cut, LONG)?;
    systemd.ask(&["kill", "--signal=KILL", UNIT])?;
    let mut waiting = client::connect((&lab.clients, lab::DE4), to(RELAYED))?;
    client::exchange(&mut waiting, SHORT)?;
    drop(waiting);
    let records = weir.wait_for_events(2, "", SOON)?;
    ensure!(records.len() == 2, "{records:#?}");
    let [cut, waiting] = [&records[1], &records[0]]
        .map(|record| (record["close_reason"].as_str(), scenario::number(record, "bytes_upload")));
    ensure!(cut == (Some("interrupted"), LONG), "{records:#?}");
    ensure!(waiting == (Some("client_closed"), SHORT), "{records:#?}");

    // A listener that is not configured any more is let go.
    weir.configure("", &scenario::guarded(""))?;
    systemd.ask(&["restart", UNIT]).with_context(|| weir.log())?;
    ensure!(systemd.property(UNIT, "NFileDescriptorStore")? == "0");
    let fate = scenario::fate(&lab, lab::DE4, RELAYED)?;
    ensure!(fate == Some(client::Refusal::Reset), "{fate:?}");
    Ok(())
}

#[test]
fn crashes_under_systemd_lose_and_repeat_no_record() -> Result<()> {
    const CRASHES: u32 = 5;
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let Some((systemd, weir)) = start(&lab)? else { return Ok(()) };
    let load = Load::that_may_be_cut();
    let load = under(
        load,
        &lab,
        |_| Ok(()),
        |load| {
            for _ in 0..CRASHES {
                load.goes_on(100)?;
                systemd.ask(&["kill", "--signal=KILL", UNIT])?;
            }
            load.goes_on(200)
        },
    )?;
    let mut ports = load.ports.unwrap_or_default().into_inner().unwrap_or_default();
    ports.sort_unstable();
    let mut told: Vec<Value> = Vec::new();
    let once = holds(SOON, || {
        told = weir.events("").unwrap_or_default();
        let of = |record: &Value| u16::try_from(scenario::number(record, "source_port"));
        let mut recorded: Vec<u16> = told.iter().filter_map(|record| of(record).ok()).collect();
        recorded.sort_unstable();
        recorded == ports
    });
    let of = |port: u16| told.iter().filter(move |record| record["source_port"] == port);
    let wrong = ports.chunk_by(|a, b| a == b).filter(|same| of(same[0]).count() != same.len());
    let wrong: Vec<_> = wrong.map(|same| (same.len(), same[0], of(same[0]).collect())).collect();
    let wrong: Vec<(usize, u16, Vec<&Value>)> = wrong;
    ensure!(once, "{} records of {}: {wrong:#?} {}", told.len(), ports.len(), weir.log());
    ensure!(told.iter().all(|record| record["verdict"] == "allowed"), "{told:#?}");
    Ok(())
}

/// Asserts that there are records of so many connections, and of no other that was let in.
fn assert_counted(weir: &Weir<'_>, connections: u64) -> Result<()> {
    let count = |query: &str| {
        let listing = weir.api(&format!("/api/events/proxy?page_size=1&{query}"));
        listing.ok().and_then(|listing| listing["total_records"].as_u64()).unwrap_or_default()
    };
    // Those whose end the programs saw half of come two seconds later.
    let recorded = holds(SOON, || count("verdict=allowed") == connections);
    let others = weir.events("verdict=error")?;
    ensure!(
        recorded && others.is_empty(),
        "{} records of {connections} connections, and {others:#?}",
        count("verdict=allowed")
    );
    // An ended one may still be told of until it is swept.
    let flows = || weir.api("/api/flows").unwrap_or_default();
    let none = holds(SOON, || flows()["total_records"] == 0);
    ensure!(none, "what has its record goes on: {:#}", flows());
    Ok(())
}

/// Who is denied tries again and again and is never heard: where no program is attached
/// since none runs, it waits with the others and is reset.
fn insist_in_vain(lab: &Lab, load: &Load, tries: &AtomicU64) -> Result<()> {
    while !load.ended.load(Ordering::Relaxed) {
        let from = (&lab.clients, lab::BLOCKED4);
        let fate = client::refusal(from, to(RELAYED), Duration::from_millis(20))?;
        ensure!(fate.is_some(), "who is denied was served");
        tries.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
