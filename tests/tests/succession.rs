//! A daemon is to take over from another, and something goes wrong.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::Signal;
use serde_json::Value;
use weir_tests::{
    client::{self, Refusal},
    handover::Claimant,
    lab::{self, Lab},
    scenario::{self, BACKEND, GUARDED, RELAYED, Servers},
    server::Behaviour,
    wait::{SOON, holds},
    weir::{Superseded, Weir},
};

const BYTES: u64 = 20_000;
/// Port of a service that only the second configuration has.
const OTHER: u16 = 7004;

fn services() -> String {
    scenario::services(&scenario::blocked())
}

fn start(lab: &Lab) -> Result<Weir<'_>> {
    Weir::start(&lab.server, "", &services())
}

fn to(port: u16) -> SocketAddr {
    SocketAddr::new(lab::SERVER4, port)
}

fn connect(lab: &Lab, port: u16) -> Result<TcpStream> {
    let mut stream = client::connect((&lab.clients, lab::DE4), to(port))?;
    client::exchange(&mut stream, BYTES)?;
    Ok(stream)
}

/// Asserts that everything is as it should be: who may is served, who is denied is not.
fn assert_in_service(lab: &Lab) -> Result<()> {
    scenario::assert_both_serve(lab, lab::DE4)?;
    scenario::assert_both_deny(lab, lab::BLOCKED4)
}

/// The records of connections from these ports: one each.
fn records_of<const N: usize>(weir: &Weir<'_>, ports: [u16; N]) -> Result<[Value; N]> {
    let found = ports.map(|port| {
        let of_port = |all: Vec<Value>| {
            all.into_iter().filter(|record| record["source_port"] == port).collect::<Vec<_>>()
        };
        let mut mine = Vec::new();
        holds(SOON, || {
            mine = weir.events("verdict=allowed").map(of_port).unwrap_or_default();
            !mine.is_empty()
        });
        ensure!(mine.len() == 1, "{} records of the connection from port {port}", mine.len());
        mine.pop().context("no record")
    });
    let found: Result<Vec<Value>> = found.into_iter().collect();
    found?.try_into().map_err(|_| anyhow!("one for each"))
}

#[test]
fn a_successor_with_a_faulty_configuration_leaves_everything_as_it_is() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = start(&lab)?;
    let mut open = connect(&lab, RELAYED)?;
    let bind = |host: &str| anyhow::Ok(lab.server.within(|| TcpListener::bind((host, OTHER)))??);
    let taken = [bind("192.0.2.1")?, bind("127.0.0.1")?];
    let other = |listen: u16| {
        format!("[service.other]\nmode = 'tcp'\nlisten = {listen}\ntarget = '127.0.0.1:1'\n")
    };
    let many: String =
        (0..1100).map(|n| other(10_000 + n).replace("other", &format!("s{n}"))).collect();
    let faults = [
        (scenario::services("allowed_cidrs = ['198.51.100.0/33']"), "198.51.100.0/33"),
        (services() + &other(OTHER), "cannot listen on"),
        (services() + &format!("[api]\nlisten = '127.0.0.1:{OTHER}'\n"), "cannot be bound"),
        (services() + "[geoip]\ndatabase = 7\n", "database takes a string"),
        (many, "no more service can be named"),
    ];
    for (tables, complaint) in faults {
        weir.configure("", &tables)?;
        let ended = weir.take_over_in_vain()?;
        ensure!(!ended.success() && weir.log().contains(complaint), "{complaint}: {}", weir.log());
        ensure!(weir.is_running(), "{complaint}: {}", weir.log());
        client::exchange(&mut open, BYTES)?;
        assert_in_service(&lab)?;
    }
    drop(taken);
    weir.configure("", &(services() + &other(OTHER)))?;
    let mut before = weir.take_over()?;
    client::exchange(&mut open, BYTES)?;
    assert_in_service(&lab)?;
    let fate = scenario::fate(&lab, lab::DE4, OTHER)?;
    ensure!(fate == Some(Refusal::Reset), "its target is nobody: {fate:?}");
    ensure!(before.is_running(), "it has left its session: {}", weir.log());
    Ok(())
}

#[test]
fn a_successor_that_goes_before_it_has_all_is_none() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = start(&lab)?;
    let mut open = connect(&lab, RELAYED)?;
    // It prepares, and no more.
    drop(Claimant::introduce(&weir.runtime_dir())?);
    assert_in_service(&lab)?;
    // It has the listeners.
    let claimant = Claimant::introduce(&weir.runtime_dir())?;
    let listeners = claimant.take()?;
    ensure!(listeners.len() == 3, "two of the service and the API's: {listeners:?}");
    let mut waiting = client::connect((&lab.clients, lab::DE4), to(RELAYED))?;
    drop(claimant);
    client::exchange(&mut waiting, BYTES)?;
    assert_in_service(&lab)?;
    // It says nothing any more.
    let silent = Claimant::introduce(&weir.runtime_dir())?;
    silent.take()?;
    let mut patient = client::connect((&lab.clients, lab::DE4), to(RELAYED))?;
    client::exchange(&mut patient, BYTES)?;
    drop(silent);

    ensure!(weir.is_running());
    let mut before = weir.take_over()?;
    client::exchange(&mut open, BYTES)?;
    assert_in_service(&lab)?;
    let ports = [&open, &waiting, &patient].map(|stream| stream.local_addr().map(|a| a.port()));
    drop((open, waiting, patient));
    ensure!(before.wait(SOON)?.success(), "{}", weir.log());
    let [first, second, third] = ports;
    for record in records_of(&weir, [first?, second?, third?])? {
        ensure!(record["close_reason"] == "client_closed", "{record}");
    }
    Ok(())
}

#[test]
fn a_successor_that_goes_when_all_is_its_own_leaves_restrictions_and_no_record_twice() -> Result<()>
{
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = start(&lab)?;
    let mut streams = [connect(&lab, RELAYED)?, connect(&lab, GUARDED)?];
    let ports = [streams[0].local_addr()?.port(), streams[1].local_addr()?.port()];
    let done = connect(&lab, RELAYED)?;
    let done_port = done.local_addr()?.port();
    drop(done);
    let claimant = Claimant::introduce(&weir.runtime_dir())?;
    claimant.take()?;
    claimant.ready()?;
    drop(claimant);

    // Nobody records any more what it serves: it serves no longer.
    let heard = streams[0].read(&mut [0]).map_err(|error| error.kind());
    ensure!(heard == Err(ErrorKind::ConnectionReset), "{heard:?}");
    ensure!(!weir.wait_for_end(SOON)?.success(), "it ended as if all were well");
    ensure!(weir.log().contains("stays in force"));
    scenario::assert_both_deny(&lab, lab::BLOCKED4)?;
    client::exchange(&mut streams[1], BYTES)?;

    weir.launch()?;
    assert_in_service(&lab)?;
    client::exchange(&mut streams[1], BYTES)?;
    drop(streams);
    let [relayed, guarded] = records_of(&weir, ports)?;
    ensure!(
        relayed["close_reason"] == "interrupted" && relayed["bytes_upload"] == BYTES,
        "{relayed}"
    );
    ensure!(guarded["close_reason"] == "client_closed", "{guarded}");
    ensure!(guarded["bytes_upload"] == 3 * BYTES, "{guarded}");
    let [done] = records_of(&weir, [done_port])?;
    ensure!(done["close_reason"] == "client_closed" && done["bytes_upload"] == BYTES, "{done}");
    Ok(())
}

/// A connection that goes on over a takeover, and the daemon that serves it.
fn open_before_a_takeover(lab: &Lab, weir: &mut Weir<'_>) -> Result<(TcpStream, Superseded)> {
    let mut open = connect(lab, RELAYED)?;
    let before = weir.take_over()?;
    client::exchange(&mut open, BYTES)?;
    Ok((open, before))
}

/// Asserts that such a connection has its one record, of a daemon that was killed.
fn assert_interrupted(weir: &Weir<'_>, open: &TcpStream) -> Result<()> {
    let [record] = records_of(weir, [open.local_addr()?.port()])?;
    ensure!(record["close_reason"] == "interrupted", "{record}");
    ensure!(record["bytes_upload"] == 2 * BYTES, "{record}");
    Ok(())
}

#[test]
fn what_a_killed_predecessor_served_is_interrupted() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = start(&lab)?;
    let (open, mut before) = open_before_a_takeover(&lab, &mut weir)?;
    before.kill()?;
    assert_interrupted(&weir, &open)?;
    assert_in_service(&lab)
}

#[test]
fn a_successor_s_policy_cuts_what_the_one_before_serves() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = start(&lab)?;
    let mut denied = connect(&lab, RELAYED)?;
    let mut allowed = client::connect((&lab.clients, lab::FR4), to(RELAYED))?;
    client::exchange(&mut allowed, BYTES)?;
    let port = denied.local_addr()?.port();
    let access = format!("blocked_cidrs = ['{}/32']", lab::DE4);
    weir.configure("", &scenario::services(&access))?;
    let _before = weir.take_over()?;
    let heard = denied.read(&mut [0]).map_err(|error| error.kind());
    ensure!(heard == Err(ErrorKind::ConnectionReset), "{heard:?}");
    let [record] = records_of(&weir, [port])?;
    ensure!(record["close_reason"] == "policy_changed", "{record}");
    ensure!(record["bytes_upload"] == BYTES, "{record}");
    client::exchange(&mut allowed, BYTES)
}

#[test]
fn a_killed_successor_takes_what_the_one_before_serves_with_it() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = start(&lab)?;
    let (mut open, mut before) = open_before_a_takeover(&lab, &mut weir)?;
    weir.kill()?;
    let heard = open.read(&mut [0]).map_err(|error| error.kind());
    ensure!(heard == Err(ErrorKind::ConnectionReset), "{heard:?}");
    ensure!(!before.wait(SOON)?.success());
    scenario::assert_both_deny(&lab, lab::BLOCKED4)?;
    weir.launch()?;
    assert_interrupted(&weir, &open)?;
    assert_in_service(&lab)
}

/// A chain of three: the last hears of what the first serves through the second.
#[test]
fn a_session_outlives_two_takeovers_and_a_stop_waits_for_it() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = start(&lab)?;
    let mut open = connect(&lab, RELAYED)?;
    let port = open.local_addr()?.port();
    let mut before = [weir.take_over()?, weir.take_over()?];
    client::exchange(&mut open, BYTES)?;
    ensure!(before.iter_mut().all(Superseded::is_running), "{}", weir.log());
    weir.signal(Signal::TERM)?;
    ensure!(holds(SOON, || scenario::fate(&lab, lab::DE4, RELAYED)
        .is_ok_and(|fate| fate == Some(Refusal::Reset))));
    client::exchange(&mut open, BYTES)?;
    ensure!(weir.is_running(), "{}", weir.log());
    drop(open);
    ensure!(weir.wait_for_end(SOON)?.success(), "{}", weir.log());
    for before in &mut before {
        ensure!(before.wait(SOON)?.success(), "{}", weir.log());
    }
    weir.launch()?;
    let [record] = records_of(&weir, [port])?;
    ensure!(record["close_reason"] == "client_closed", "{record}");
    ensure!(record["bytes_upload"] == 3 * BYTES, "{record}");
    Ok(())
}

/// Whose header is half said when the daemon changes is heard to the end.
#[test]
fn headers_that_are_half_said_are_heard_to_their_end() -> Result<()> {
    /// How long a client pauses within its header: a part of the time in which it has to come.
    const PAUSE: Duration = Duration::from_millis(300);
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let tables = format!(
        "[service.fronted]\nmode = 'tcp'\nlisten = {OTHER}\ntarget = '127.0.0.1:{BACKEND}'\n\
         proxy_protocol = {{ accept_from = ['{}'] }}\n",
        lab::DE4
    );
    let mut weir = Weir::start(&lab.server, "", &tables)?;
    let (ended, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let client = || -> Result<()> {
        while !ended.load(Ordering::Relaxed) {
            let mut stream = client::connect((&lab.clients, lab::DE4), to(OTHER))?;
            stream.write_all(b"PROXY TCP4 203.0.113.9 192.0.2.1 ")?;
            thread::sleep(PAUSE);
            stream.write_all(b"999 443\r\n")?;
            client::exchange(&mut stream, BYTES)?;
            served.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let more = |weir: &Weir<'_>| {
        let target = served.load(Ordering::Relaxed) + 8;
        let goes_on = holds(SOON, || served.load(Ordering::Relaxed) >= target);
        ensure!(goes_on, "the clients have come to a halt: {}", weir.log());
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        let done = (0..3).try_for_each(|_| {
            more(&weir)?;
            let mut before = weir.take_over()?;
            ensure!(before.wait(SOON)?.success(), "{}", weir.log());
            more(&weir)
        });
        ended.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        done
    })?;
    let all = usize::try_from(served.into_inner())?;
    let records = weir.wait_for_events(all, "", SOON)?;
    ensure!(records.len() == all, "{} records of {all} connections", records.len());
    for record in records {
        let who = (record["source_ip"].as_str(), scenario::number(&record, "bytes_upload"));
        ensure!(who == (Some("203.0.113.9"), BYTES), "{record}");
    }
    Ok(())
}
