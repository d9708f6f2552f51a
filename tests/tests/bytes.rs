//! Recorded bytes are the bytes that the two ends exchanged.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use weir_tests::{
    client,
    lab::{self, Lab},
    nft,
    scenario::{self, GUARDED, RELAYED, Servers, number},
    server::Behaviour,
    wait::SOON,
    weir::Weir,
};

const GIB: u64 = 1 << 30;
/// A hundredth of 1 GiB in segments as large as segmentation offload makes them.
const LEAST_LOST: u64 = GIB / (64 << 10) / 100 / 2;

#[test]
fn one_gib_each_way_through_a_guard() -> Result<()> {
    exact("guarded", GUARDED, false)
}

#[test]
fn one_gib_each_way_through_the_relay() -> Result<()> {
    exact("relayed", RELAYED, false)
}

#[test]
fn one_gib_each_way_through_a_guard_under_loss() -> Result<()> {
    exact("guarded", GUARDED, true)
}

#[test]
fn one_gib_each_way_through_the_relay_under_loss() -> Result<()> {
    exact("relayed", RELAYED, true)
}

fn exact(service: &str, port: u16, lossy: bool) -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &scenario::services(""))?;
    if lossy {
        // What the server loses Weir has counted; what the client loses it has too.
        nft::lose_one_percent(&lab.server, "iifname wan meta l4proto tcp")?;
        nft::lose_one_percent(&lab.clients, "meta l4proto tcp")?;
    }
    let (client, server): (IpAddr, IpAddr) =
        if lossy { (lab::DE4, lab::SERVER4) } else { (lab::DE6, lab::SERVER6) };
    let mut stream = client::connect((&lab.clients, client), SocketAddr::new(server, port))?;
    client::exchange(&mut stream, GIB)?;
    drop(stream);
    if lossy {
        for namespace in [&lab.server, &lab.clients] {
            let lost = nft::lost(namespace)?;
            assert!(lost >= LEAST_LOST, "{} lost {lost} packets", namespace.name());
        }
    }

    let record = weir.wait_for_event(&format!("service_id={service}"), SOON)?;
    assert_eq!(record["bytes_upload"], GIB, "{record}");
    assert_eq!(record["bytes_download"], GIB, "{record}");
    assert_eq!(record["close_reason"], "client_closed", "{record}");
    assert_eq!(record["metadata"]["partial"], serde_json::Value::Null, "{record}");
    // Wire packets: a segment carries at most what fits into 1500 bytes, or less.
    let least = GIB / 1500;
    assert!(number(&record, "packets_upload") >= least, "{record}");
    assert!(number(&record, "packets_download") >= least, "{record}");
    Ok(())
}

/// A flow that began before Weir is counted from where it was met.
#[test]
fn a_flow_that_began_before_weir_is_partial() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let to = SocketAddr::new(lab::SERVER4, GUARDED);
    let mut stream = client::connect((&lab.clients, lab::DE4), to)?;
    client::exchange(&mut stream, 1_000)?;
    let weir = Weir::start(&lab.server, "", &scenario::guarded(""))?;
    client::exchange(&mut stream, 50_000)?;
    drop(stream);

    let record = weir.wait_for_event("service_id=guarded", SOON)?;
    assert_eq!(record["metadata"]["partial"], "true", "{record}");
    assert_eq!(record["verdict"], "allowed", "{record}");
    assert_eq!(record["bytes_upload"], 50_000, "{record}");
    assert_eq!(record["bytes_download"], 50_000, "{record}");
    Ok(())
}
