//! Floods: nothing that counts is lost, and the store stays small.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpStream},
    os::unix::fs::MetadataExt,
    path::Path,
    thread,
    time::Instant,
};

use anyhow::{Result, anyhow};
use weir_tests::{
    client, kernel,
    lab::{self, Lab},
    nft,
    raw::{self, Syn},
    scenario::{self, PLANES, SETTLED, Servers},
    server::Behaviour,
    wait::SOON,
    weir::Weir,
};

/// The most that a record may take up in the store.
const RECORD: u64 = 512;
/// Source port of spoofed SYNs: no client's.
const SPOOFED_PORT: u16 = 999;
const FLOWS: usize = 20;
const BYTES: u64 = 40_000;

/// `count` SYNs from as many sources, to both services over IPv4 and IPv6.
fn syns(seed: u32, count: usize) -> impl Iterator<Item = Syn> + Send {
    let from = |n: usize, source: IpAddr, server| Syn {
        source: SocketAddr::new(source, SPOOFED_PORT),
        destination: SocketAddr::new(server, PLANES[n % PLANES.len()].1),
        sequence: 1,
    };
    let v4 = raw::random_sources(seed, count / 2).enumerate();
    let v6 = raw::random_sources6(seed, count / 2).enumerate();
    v4.zip(v6).flat_map(move |((n, v4), (_, v6))| {
        [from(n, v4.into(), lab::SERVER4), from(n, v6.into(), lab::SERVER6)]
    })
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
    const SENT: usize = 50_000;
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &scenario::services(""))?;
    let mut flows = open_flows(&lab)?;
    for (service, port) in PLANES {
        nft::count_input(
            &lab.server,
            service,
            &format!("tcp dport {port} tcp sport {SPOOFED_PORT}"),
        )?;
    }
    thread::scope(|scope| {
        let flood = scope.spawn(|| raw::send(&lab.clients, syns(1, SENT)));
        for stream in &mut flows {
            client::exchange(stream, BYTES)?;
        }
        flood.join().map_err(|_| anyhow!("the flood panicked"))?
    })?;
    for (service, _) in PLANES {
        let arrived = nft::counted(&lab.server, service)?;
        assert!(arrived >= SENT as u64 / 2 * 99 / 100, "{arrived} SYNs arrived at {service}");
    }
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
    let empty = size(&weir.data_dir())?;
    let begun = Instant::now();
    raw::send(&lab.clients, syns(2, usize::try_from(SENT)?))?;
    let seconds = begun.elapsed().as_secs() + 1;

    let counted = kernel::denied_attempts(&lab.server)?;
    assert!(counted >= SENT, "the kernel counted {counted}");
    let seen = scenario::assert_sum(&lab, &weir)?;

    // Each second 1000 single records, 256 aggregates and one of each service for the rest.
    let most = (seconds + SETTLED.as_secs()) * (1000 + 256 + PLANES.len() as u64);
    assert!(seen.len() as u64 <= most, "{} records in {seconds} s", seen.len());
    let grown = size(&weir.data_dir())? - empty;
    assert!(grown <= most * RECORD, "{grown} bytes for {} records", seen.len());
    for (service, _) in PLANES {
        let many = seen.iter().filter(|record| record["service_id"] == service);
        assert!(many.count() > 0, "nothing of {service}");
    }
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

/// What the files of a directory take up on the disk.
fn size(directory: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { size(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(sum)
}
