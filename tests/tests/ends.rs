//! How connections end, through a guard and through the relay.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use anyhow::Result;
use serde_json::Value;
use weir_tests::{
    client::{self, Refusal},
    lab::{self, Lab},
    scenario::{self, PLANES, RELAYED, Servers, number},
    server::Behaviour,
    wait::SOON,
    weir::Weir,
};

const BYTES: u64 = 300_000;

/// Connects to both planes, lets `act` use each connection, and hands each record
/// to `check`.
fn on_both_planes(
    behaviour: Behaviour,
    act: impl Fn(TcpStream) -> Result<()>,
    check: impl Fn(&Value),
) -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, behaviour)?;
    let weir = Weir::start(&lab.server, "", &scenario::services(""))?;
    for (service, port) in PLANES {
        let to = SocketAddr::new(lab::SERVER4, port);
        act(client::connect((&lab.clients, lab::DE4), to)?)?;
        let record = weir.wait_for_event(&format!("service_id={service}"), SOON)?;
        assert_eq!(record["verdict"], "allowed", "{record}");
        assert_eq!(record["reason"], Value::Null, "{record}");
        check(&record);
    }
    assert_eq!(weir.events("")?.len(), PLANES.len());
    Ok(())
}

#[test]
fn a_half_closed_connection_still_answers() -> Result<()> {
    on_both_planes(
        Behaviour::Tally,
        |mut stream| {
            assert_eq!(client::upload(&mut stream, BYTES)?, BYTES);
            assert_eq!(client::discard(&mut stream)?, 0);
            Ok(())
        },
        |record| {
            assert_eq!(record["bytes_upload"], BYTES, "{record}");
            assert_eq!(record["bytes_download"], 8, "{record}");
            assert_eq!(record["close_reason"], "client_closed", "{record}");
        },
    )
}

#[test]
fn a_target_may_end_first_and_still_listen() -> Result<()> {
    on_both_planes(
        Behaviour::Source(BYTES),
        |mut stream| {
            assert_eq!(client::discard(&mut stream)?, BYTES);
            client::send(&mut stream, 1_000)?;
            Ok(stream.shutdown(Shutdown::Write)?)
        },
        |record| {
            assert_eq!(record["bytes_upload"], 1_000, "{record}");
            assert_eq!(record["bytes_download"], BYTES, "{record}");
            assert_eq!(record["close_reason"], "target_closed", "{record}");
        },
    )
}

#[test]
fn a_client_may_reset() -> Result<()> {
    on_both_planes(
        Behaviour::Echo,
        |mut stream| {
            client::exchange(&mut stream, BYTES)?;
            // Acknowledges all that came; the answer's acknowledgement may die with the
            // connection.
            client::exchange(&mut stream, 1)?;
            Ok(client::reset(stream)?)
        },
        |record| {
            assert_eq!(record["bytes_upload"], BYTES + 1, "{record}");
            let acknowledged = number(record, "bytes_download");
            assert!((BYTES..=BYTES + 1).contains(&acknowledged), "{record}");
            assert_eq!(record["close_reason"], "client_reset", "{record}");
        },
    )
}

#[test]
fn a_target_may_reset() -> Result<()> {
    on_both_planes(
        Behaviour::Reset,
        |mut stream| {
            stream.write_all(b"?")?;
            let heard = stream.read(&mut [0]).map_err(|error| error.kind());
            assert_eq!(heard, Err(std::io::ErrorKind::ConnectionReset));
            Ok(())
        },
        |record| {
            assert_eq!(record["bytes_upload"], 1, "{record}");
            assert_eq!(record["bytes_download"], 0, "{record}");
            assert_eq!(record["close_reason"], "target_reset", "{record}");
        },
    )
}

/// Makes one connection to the relay that is to fail; its record.
fn failing(tables: &str, lab: &Lab, held: u32) -> Result<Value> {
    let weir = Weir::start(&lab.server, "", tables)?;
    let (from, to) = ((&lab.clients, lab::DE4), SocketAddr::new(lab::SERVER4, RELAYED));
    let mut open = Vec::new();
    for _ in 0..held {
        let mut stream = client::connect(from, to)?;
        client::exchange(&mut stream, 1)?;
        open.push(stream);
    }
    assert!(matches!(client::refusal(from, to, SOON)?, Some(Refusal::Reset | Refusal::End)));
    let record = weir.wait_for_event("", SOON)?;
    assert_eq!(record["verdict"], "error", "{record}");
    assert_eq!(record["bytes_upload"], 0, "{record}");
    assert_eq!(record["bytes_download"], 0, "{record}");
    Ok(record)
}

#[test]
fn a_failed_dial_is_recorded() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let record = failing(&scenario::relayed(""), &lab, 0)?;
    assert_eq!(record["reason"], "backend_unreachable", "{record}");
    Ok(())
}

#[test]
fn a_connection_over_the_limit_is_recorded() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let tables = scenario::relayed("").replace("listen =", "max_connections = 2\nlisten =");
    let record = failing(&tables, &lab, 2)?;
    assert_eq!(record["reason"], "connection_limit", "{record}");
    Ok(())
}

#[test]
fn an_idle_connection_ends() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let tables = scenario::relayed("").replace("listen =", "idle_timeout = '1s'\nlisten =");
    let weir = Weir::start(&lab.server, "", &tables)?;
    let to = SocketAddr::new(lab::SERVER4, RELAYED);
    let mut stream = client::connect((&lab.clients, lab::DE4), to)?;
    client::exchange(&mut stream, 1_000)?;
    let record = weir.wait_for_event("", SOON)?;
    assert_eq!(record["close_reason"], "idle_timeout", "{record}");
    assert_eq!(record["bytes_upload"], 1_000, "{record}");
    Ok(())
}
