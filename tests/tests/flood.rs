//! Floods: nothing that counts is lost, and the store stays small.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use weir_tests::{
    client, kernel,
    lab::{self, Lab},
    raw::{self, Syn},
    scenario::{self, GUARDED, PLANES, Servers, attempts},
    server::Behaviour,
    wait::{SOON, eventually},
    weir::Weir,
};

/// How long after the end of traffic the sum may take.
const SETTLED: Duration = Duration::from_secs(2);
const FLOWS: usize = 20;
const BYTES: u64 = 40_000;

fn syns(seed: u32, count: usize) -> Result<impl Iterator<Item = Syn> + Send> {
    let from = move |source: Ipv4Addr| Syn {
        source: SocketAddr::new(source.into(), 40_000),
        destination: SocketAddr::new(lab::SERVER4, GUARDED),
        sequence: 1,
    };
    Ok(raw::random_sources(seed, count).map(from))
}

/// `FLOWS` open connections to each plane that have exchanged a few bytes.
fn open_flows(lab: &Lab) -> Result<Vec<TcpStream>> {
    let mut flows = Vec::new();
    for (_, port) in PLANES {
        for _ in 0..FLOWS {
            let to = SocketAddr::new(lab::SERVER4, port);
            let mut stream = client::connect((&lab.clients, lab::DE4), to)?;
            client::exchange(&mut stream, BYTES)?;
            flows.push(stream);
        }
    }
    Ok(flows)
}

#[test]
fn spoofed_syns_lose_no_flow() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &scenario::services(""))?;
    let mut flows = open_flows(&lab)?;
    thread::scope(|scope| {
        let flood = scope.spawn(|| raw::send(&lab.clients, syns(1, 50_000)?));
        for stream in &mut flows {
            client::exchange(stream, BYTES)?;
        }
        flood.join().map_err(|_| anyhow!("the flood panicked"))?
    })?;
    for mut stream in flows {
        client::exchange(&mut stream, BYTES)?;
    }

    for (service, _) in PLANES {
        let query = format!("service_id={service}");
        let records = weir.wait_for_events(FLOWS, &query, SOON)?;
        assert_eq!(records.len(), FLOWS, "{records:#?}");
        for record in records {
            assert_eq!(record["bytes_upload"], 3 * BYTES, "{record}");
            assert_eq!(record["bytes_download"], 3 * BYTES, "{record}");
            assert_eq!(record["close_reason"], "client_closed", "{record}");
        }
    }
    // Half-open connections are counted, not recorded.
    assert_eq!(weir.events("")?.len(), 2 * FLOWS);
    Ok(())
}

#[test]
fn denied_attempts_add_up() -> Result<()> {
    const SENT: u64 = 200_000;
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let weir =
        Weir::start(&lab.server, "", &scenario::services("allowed_cidrs = ['198.51.100.0/24']"))?;
    let flows = open_flows(&lab)?;
    let begun = Instant::now();
    raw::send(&lab.clients, syns(2, usize::try_from(SENT)?)?)?;
    let seconds = begun.elapsed().as_secs() + 1;

    let counted = kernel::denied_attempts(&lab.server)?;
    assert!(counted >= SENT, "the kernel counted {counted}");
    let mut seen = Vec::new();
    let settled = eventually(SETTLED, || {
        seen = weir.events("verdict=denied").ok()?;
        (attempts(&seen) == counted).then_some(())
    });
    let sum = attempts(&seen);
    assert!(settled.is_some(), "{} records for {sum} of {counted} attempts", seen.len());
    assert_eq!(kernel::denied_attempts(&lab.server)?, counted);

    // Each second 1000 single records, 256 aggregates and one for the rest.
    let most = (seconds + SETTLED.as_secs()) * (1000 + 256 + 1);
    assert!(seen.len() as u64 <= most, "{} records in {seconds} s", seen.len());
    for aggregate in seen.iter().filter(|record| record["metadata"]["suppressed"].is_string()) {
        let many = aggregate["source_ip"] == "many";
        assert!(many || aggregate["metadata"]["source_prefix"].is_string(), "{aggregate}");
        assert_eq!(aggregate["reason"], "ip_restricted", "{aggregate}");
    }

    drop(flows);
    let records = weir.wait_for_events(2 * FLOWS, "verdict=allowed", SOON)?;
    assert_eq!(records.len(), 2 * FLOWS, "{records:#?}");
    Ok(())
}
