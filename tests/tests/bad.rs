//! Bad input: a clear message, nothing open that was shut, and the daemon goes on.

use std::{
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use weir_tests::{
    client::{self, Refusal},
    geo, kernel,
    lab::{self, BLOCKED4_CIDR, LAN, Lab},
    ns::link,
    raw::{self, Syn},
    scenario::{self, BRIEF, GUARDED, PLANES, Servers},
    server::Behaviour,
    tmpfs::Tmpfs,
    wait::{SOON, holds},
    weir::Weir,
};

fn assert_denied(lab: &Lab, from: IpAddr) -> Result<()> {
    for (service, port) in PLANES {
        scenario::assert_denied(lab, from, SocketAddr::new(lab::SERVER4, port)).context(service)?;
    }
    Ok(())
}

fn assert_served(lab: &Lab, from: IpAddr) -> Result<()> {
    for (service, port) in PLANES {
        scenario::assert_served(lab, from, SocketAddr::new(lab::SERVER4, port)).context(service)?;
    }
    Ok(())
}

fn blocking() -> String {
    scenario::services(&format!("blocked_cidrs = ['{BLOCKED4_CIDR}']"))
}

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
    assert_denied(&lab, lab::DE4)?;
    expect_reason(&weir, lab::DE4, "geo_unavailable")?;

    geo::write(&database)?;
    let (germany, to) = ((&lab.clients, lab::DE4), SocketAddr::new(lab::SERVER4, GUARDED));
    let served = || matches!(client::refusal(germany, to, BRIEF), Ok(None));
    assert!(holds(SOON, served), "{}", weir.log());
    assert_denied(&lab, lab::FR4)?;
    expect_reason(&weir, lab::FR4, "country_restricted")?;

    let complaints = weir.log().matches("geo.mmdb").count();
    fs::write(&database, b"broken again")?;
    let complained = || weir.log().matches("geo.mmdb").count() > complaints;
    assert!(holds(SOON, complained), "nothing is said about the broken file");
    assert_served(&lab, lab::DE4)?;
    assert_denied(&lab, lab::FR4)
}

/// Runs Weir once so that there is a store with a record in it.
fn with_store(lab: &Lab) -> Result<Weir<'_>> {
    let mut weir = Weir::start(&lab.server, "", &blocking())?;
    assert_served(lab, lab::DE4)?;
    weir.wait_for_events(PLANES.len(), "", SOON)?;
    weir.stop()?;
    Ok(weir)
}

/// Starts Weir on a store that it cannot use. It may refuse to start, or go on
/// without; in both cases it names the file, and what was shut stays shut.
fn start_on_bad_store(lab: &Lab, weir: &mut Weir<'_>) -> Result<()> {
    let before = weir.log().len();
    let started = weir.launch();
    let said = weir.log().split_off(before);
    assert!(said.contains(&weir.data_dir().display().to_string()), "no path is named: {said}");
    assert!(!said.contains("panicked"), "{said}");
    if started.is_ok() {
        assert_denied(lab, lab::BLOCKED4)?;
        assert_served(lab, lab::DE4)?;
        assert!(weir.is_running(), "{}", weir.log());
    }
    Ok(())
}

fn store_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(store_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "redb") {
            found.push(path);
        }
    }
    Ok(found)
}

#[test]
fn a_corrupt_store() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = with_store(&lab)?;
    let files = store_files(&weir.data_dir())?;
    assert!(!files.is_empty());
    for file in files {
        let mut file = OpenOptions::new().write(true).open(file)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[0xa5; 8192])?;
    }
    start_on_bad_store(&lab, &mut weir)
}

#[test]
fn a_locked_store() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = with_store(&lab)?;
    let files: Vec<File> =
        store_files(&weir.data_dir())?.iter().map(File::open).collect::<Result<_, _>>()?;
    for file in &files {
        flock(file, FlockOperation::NonBlockingLockExclusive)?;
    }
    start_on_bad_store(&lab, &mut weir)
}

#[test]
fn a_read_only_store() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = Weir::install(&lab.server)?;
    let disk = Tmpfs::mount(&weir.data_dir(), 64)?;
    weir.configure("", &blocking())?;
    weir.launch()?;
    weir.stop()?;
    disk.set_read_only()?;
    start_on_bad_store(&lab, &mut weir)
}

#[test]
fn a_full_disk() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = Weir::install(&lab.server)?;
    let disk = Tmpfs::mount(&weir.data_dir(), 32)?;
    weir.configure("", &blocking())?;
    weir.launch()?;
    assert_served(&lab, lab::DE4)?;
    weir.wait_for_events(PLANES.len(), &format!("source_ip={}", lab::DE4), SOON)?;

    let ballast = disk.fill()?;
    let before = weir.log().len();
    let mut port = 0;
    let complained = holds(2 * SOON, || {
        port = port % 60_000 + 500;
        // The store's file has room for some records yet.
        deny_many(&lab, port).is_ok() && weir.log().len() > before
    });
    assert!(complained, "nothing is said about the full disk");
    let said = weir.log().split_off(before);
    assert!(said.contains(&weir.data_dir().display().to_string()), "no path is named: {said}");
    assert!(weir.is_running(), "{said}");
    assert_denied(&lab, lab::BLOCKED4)?;
    assert_served(&lab, lab::DE4)?;

    fs::remove_file(ballast)?;
    assert_served(&lab, lab::FR4)?;
    weir.wait_for_events(PLANES.len(), &format!("source_ip={}", lab::FR4), 2 * SOON)?;
    Ok(())
}

/// Denied attempts from 500 ports.
fn deny_many(lab: &Lab, first_port: u16) -> Result<()> {
    let syn = |port| Syn {
        source: SocketAddr::new(lab::BLOCKED4, port),
        destination: SocketAddr::new(lab::SERVER4, GUARDED),
        sequence: 1,
    };
    raw::send(&lab.clients, (first_port..first_port + 500).map(syn))
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
        assert_denied(&lab, lab::BLOCKED4)?;
        assert_served(&lab, lab::DE4)?;

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
