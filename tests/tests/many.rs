//! 10,000 connections at once, where a process may have 20,000 open files.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use weir_tests::{
    client,
    echo::Echo,
    lab::{self, Lab},
    scenario::{self, BACKEND, GUARDED, RELAYED},
    wait::{SOON, eventually},
    weir::Weir,
};

const CONNECTIONS: usize = 10_000;
const FILES: u64 = 20_000;
const HELLO: [u8; 100] = [b'x'; 100];

/// The clients of two tests would need more files than there are.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// This process and all that it starts may open so many files, and no more.
fn limit_files() -> Result<()> {
    let hard = getrlimit(Resource::Nofile).maximum;
    ensure!(hard.is_none_or(|hard| hard >= FILES), "no more than {hard:?} files are allowed");
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(FILES), maximum: Some(FILES) })?)
}

/// Opens all connections to a port of the server's; those that were not reset at once.
fn open(lab: &Lab, port: u16) -> Result<Vec<TcpStream>> {
    let to = SocketAddr::new(lab::SERVER4, port);
    let mut open = Vec::new();
    for number in 0..CONNECTIONS {
        match client::connect((&lab.clients, lab::DE4), to) {
            Ok(stream) => open.push(stream),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => return Err(error).with_context(|| format!("number {number}")),
        }
    }
    Ok(open)
}

/// Lets every client say hello, and hears whether it is answered or reset: those that
/// are served stay.
fn served(mut streams: Vec<TcpStream>) -> Result<Vec<TcpStream>> {
    // A connection that is reset already does not take it.
    let said: Vec<_> = streams.iter_mut().map(|stream| stream.write_all(&HELLO)).collect();
    let mut served = Vec::new();
    for (mut stream, said) in streams.into_iter().zip(said) {
        let heard = said.and_then(|()| stream.read_exact(&mut [0; HELLO.len()]));
        match heard.map_err(|error| error.kind()) {
            Ok(()) => served.push(stream),
            Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
            Err(other) => bail!("{other}: neither served nor reset"),
        }
    }
    Ok(served)
}

/// What `weir` calls open connections of a service.
fn open_of(weir: &Weir<'_>, service: &str) -> Result<Value> {
    let services = weir.api("/api/services")?;
    let all = services["data"].as_array();
    let ours = all.context("no data")?.iter().find(|known| known["name"] == service);
    Ok(ours.with_context(|| services.to_string())?["open"].clone())
}

/// The daemon's own work goes on: it judges, records and answers.
fn assert_at_work(lab: &Lab, weir: &Weir<'_>, port: u16) -> Result<()> {
    scenario::assert_denied(lab, lab::BLOCKED4, SocketAddr::new(lab::SERVER4, port))?;
    let record = weir.wait_for_event("verdict=denied", SOON)?;
    assert_eq!(record["source_ip"], lab::BLOCKED4.to_string(), "{record}");
    weir.run(&["status"]).map(drop)
}

fn assert_whole(records: &[Value]) {
    for record in records {
        assert_eq!(record["verdict"], "allowed", "{record}");
        assert_eq!(record["bytes_upload"], HELLO.len(), "{record}");
        assert_eq!(record["bytes_download"], HELLO.len(), "{record}");
        assert_eq!(record["close_reason"], "client_closed", "{record}");
    }
}

#[test]
fn through_the_relay_as_many_as_its_files_carry() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    limit_files()?;
    let _echo = Echo::start(
        env!("CARGO_BIN_EXE_echo"),
        &lab.server,
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), BACKEND),
    )?;
    let tables = scenario::relayed(&scenario::blocked());
    let weir = Weir::start(&lab.server, "", &tables)?;
    let served = served(open(&lab, RELAYED)?)?;
    // Two files each, and a few hundred for all the rest.
    assert!(served.len() >= CONNECTIONS * 95 / 100, "{} were served", served.len());
    let reset = CONNECTIONS - served.len();
    let counted = eventually(SOON, || {
        open_of(&weir, "relayed").is_ok_and(|open| open == served.len()).then_some(())
    });
    counted.with_context(|| format!("{:?} of {}", open_of(&weir, "relayed"), served.len()))?;
    assert_at_work(&lab, &weir, RELAYED)?;
    let turned_away = weir.wait_for_events(reset, "verdict=error", SOON)?;
    assert_eq!(turned_away.len(), reset);
    for record in turned_away {
        assert_eq!(record["reason"], "connection_limit", "{record}");
    }

    let count = served.len();
    drop(served);
    let records = weir.wait_for_events(count, "verdict=allowed", 6 * SOON)?;
    assert_eq!(records.len(), count);
    assert_whole(&records);
    assert_eq!(weir.events("")?.len(), CONNECTIONS + 1);
    Ok(())
}

#[test]
fn through_a_guard_all() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    limit_files()?;
    let any = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let _echo =
        Echo::start(env!("CARGO_BIN_EXE_echo"), &lab.server, SocketAddr::new(any, GUARDED))?;
    let weir = Weir::start(&lab.server, "", &scenario::guarded(&scenario::blocked()))?;
    let served = served(open(&lab, GUARDED)?)?;
    assert_eq!(served.len(), CONNECTIONS);
    assert_eq!(open_of(&weir, "guarded")?, CONNECTIONS);
    assert_at_work(&lab, &weir, GUARDED)?;

    drop(served);
    let records = weir.wait_for_events(CONNECTIONS, "verdict=allowed", 6 * SOON)?;
    assert_eq!(records.len(), CONNECTIONS);
    assert_whole(&records);
    Ok(())
}
