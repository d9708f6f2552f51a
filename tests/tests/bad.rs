//! Bad input: a clear message, nothing open that was shut, and the daemon goes on.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context, Result};
use weir_tests::{
    client::{self, Refusal},
    geo, kernel,
    lab::{self, BLOCKED4_CIDR, LAN, Lab},
    ns::link,
    scenario::{self, BRIEF, GUARDED, PLANES, Servers, assert_both_deny, assert_both_serve, fate},
    server::Behaviour,
    wait::{SOON, holds},
    weir::Weir,
};

/// Waits for a record of a denial with this reason.
fn expect_reason(weir: &Weir<'_>, from: IpAddr, reason: &str) -> Result<()> {
    weir.wait_for_events(PLANES.len(), &format!("source_ip={from}&reason={reason}"), SOON).map(drop)
}

/// Country rules deny until the database can be read, and one that loaded stays
/// when its file breaks.
#[test]
fn a_corrupt_country_database() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = Weir::install(&lab.server)?;
    let database = scenario::database(&weir);
    fs::write(&database, b"this is no database")?;
    weir.configure("", &(scenario::geoip(&weir) + &scenario::services(&scenario::only_germany())))?;
    weir.launch()?;
    assert!(weir.log().contains("geo.mmdb"), "no warning names the file: {}", weir.log());
    assert_both_deny(&lab, lab::DE4)?;
    expect_reason(&weir, lab::DE4, "geo_unavailable")?;

    geo::write(&database)?;
    assert!(holds(SOON, || matches!(fate(&lab, lab::DE4, GUARDED), Ok(None))), "{}", weir.log());
    assert_both_deny(&lab, lab::FR4)?;
    expect_reason(&weir, lab::FR4, "country_restricted")?;

    let complaints = weir.log().matches("geo.mmdb").count();
    fs::write(&database, b"broken again")?;
    let complained = || weir.log().matches("geo.mmdb").count() > complaints;
    assert!(holds(SOON, complained), "nothing is said about the broken file");
    assert_both_serve(&lab, lab::DE4)?;
    assert_both_deny(&lab, lab::FR4)
}

#[test]
fn an_interface_that_goes_away() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    for hook in ["tc", "xdp-native", "xdp-generic"] {
        let kernel = format!("interfaces = ['wan', 'lan']\nhook = '{hook}'");
        let access = format!("blocked_cidrs = ['{BLOCKED4_CIDR}', '198.18.0.0/24']");
        let mut weir = Weir::start(&lab.server, &kernel, &scenario::services(&access))?;
        assert_eq!(kernel::hook_in_use(&lab.server, LAN)?, Some(hook));
        lab.server.ip("link del lan")?;
        assert_both_deny(&lab, lab::BLOCKED4)?;
        assert_both_serve(&lab, lab::DE4)?;

        link((&lab.server, LAN), (&lab.neighbours, "net0"))?;
        lab::assign(&lab.server, LAN, &["198.18.0.1/24"])?;
        lab::assign(&lab.neighbours, "net0", &["198.18.0.2/24"])?;
        let hooked = || matches!(kernel::hook_in_use(&lab.server, LAN), Ok(Some(h)) if h == hook);
        assert!(holds(SOON, hooked), "{hook}: {}", weir.log());
        let to = SocketAddr::new(lab::SERVER_LAN4, GUARDED);
        let refusal = client::refusal((&lab.neighbours, lab::LAN_FR4), to, BRIEF)?;
        assert_eq!(refusal, Some(Refusal::Silence), "{hook}");
        assert!(weir.is_running());
        weir.stop().context("stopping")?;
    }
    Ok(())
}
