//! Clean stops: sessions may finish, and nothing is left.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::process::Signal;
use weir_tests::{
    client::{self, Refusal},
    kernel,
    lab::{self, Lab},
    scenario::{self, GUARDED, RELAYED, Servers},
    server::Behaviour,
    wait::{SOON, holds},
    weir::Weir,
};

const BYTES: u64 = 1_000_000;

/// New connections are refused and denied, open ones go on, and with the last of them
/// Weir ends: long before it would cut them.
#[test]
fn a_stop_waits_for_open_sessions_and_no_longer() -> Result<()> {
    const LONG: Duration = Duration::from_secs(2);
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let tables = scenario::services(&scenario::blocked());
    let mut weir = Weir::start(&lab.server, "", &tables)?;
    let (from, to) = ((&lab.clients, lab::DE4), SocketAddr::new(lab::SERVER4, RELAYED));
    let mut stream = client::connect(from, to)?;
    client::exchange(&mut stream, BYTES)?;
    let (own, mut exchanged) = (stream.local_addr()?.port(), BYTES);

    weir.signal(Signal::TERM)?;
    let refuses = || matches!(client::refusal(from, to, SOON), Ok(Some(Refusal::Reset)));
    assert!(holds(SOON, refuses), "the relay's port is still open");
    scenario::assert_denied(&lab, lab::BLOCKED4, SocketAddr::new(lab::SERVER4, GUARDED))?;
    let since = Instant::now();
    while since.elapsed() < LONG {
        client::exchange(&mut stream, BYTES)?;
        exchanged += BYTES;
    }
    assert!(weir.is_running(), "ended before its sessions: {}", weir.log());
    drop(stream);
    assert!(weir.wait_for_end(SOON / 2)?.success(), "{}", weir.log());

    weir.launch()?;
    // The signal may have come after other connections.
    let records = weir.wait_for_events(1, "verdict=allowed", SOON)?;
    let record = records.iter().find(|record| record["source_port"] == own).context("no record")?;
    assert_eq!(record["bytes_upload"], exchanged, "{record}");
    assert_eq!(record["bytes_download"], exchanged, "{record}");
    assert_eq!(record["close_reason"], "client_closed", "{record}");
    let denied = weir.wait_for_event("verdict=denied", SOON)?;
    assert_eq!(denied["source_ip"], lab::BLOCKED4.to_string(), "{denied}");
    Ok(())
}

#[test]
fn a_clean_stop_leaves_nothing() -> Result<()> {
    for hook in ["tc", "xdp-native", "xdp-generic"] {
        let Some(lab) = Lab::for_test()? else { return Ok(()) };
        let _servers = Servers::start(&lab, Behaviour::Echo)?;
        let qdiscs = lab.server.run("tc qdisc show")?;
        let kernel = format!("interfaces = ['wan', 'lan']\nhook = '{hook}'");
        let mut weir = Weir::start(&lab.server, &kernel, &scenario::services(""))?;
        let to = SocketAddr::new(lab::SERVER4, GUARDED);
        let mut open = client::connect((&lab.clients, lab::DE4), to)?;
        client::exchange(&mut open, BYTES)?;
        let objects = kernel::Objects::of(&lab.server)?;
        assert!(!objects.is_empty());
        assert!(weir.run(&["detach"]).is_err(), "detached while the daemon runs");

        assert!(weir.stop()?.success());
        assert!(kernel::nothing_attached(&lab.server)?);
        assert!(!kernel::pins(&lab.server).exists());
        assert_eq!(lab.server.run("tc qdisc show")?, qdiscs);
        // The kernel frees them a moment after the last reference.
        assert!(holds(SOON, || objects.alive().is_empty()), "{:?}", objects.alive());

        // A guarded flow outlives Weir, its record does not wait for it.
        client::exchange(&mut open, BYTES)?;
        drop(open);
        weir.launch()?;
        let record = weir.wait_for_event("service_id=guarded", SOON)?;
        assert_eq!(record["close_reason"], "shutdown", "{record}");
        assert_eq!(record["bytes_upload"], BYTES, "{record}");
    }
    Ok(())
}
