//! Stores that cannot be used: a clear message, nothing open that was shut, and the
//! daemon goes on.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use weir_tests::{
    client::Refusal,
    kernel,
    lab::{self, Lab},
    scenario::{
        PLANES, RELAYED, Servers, assert_both_deny, assert_both_serve, attempts, blocking,
        deny_many, fate,
    },
    server::Behaviour,
    tmpfs::Tmpfs,
    wait::{SOON, holds},
    weir::Weir,
};

/// Runs Weir once so that there is a store with a record in it.
fn with_store(lab: &Lab) -> Result<Weir<'_>> {
    let mut weir = Weir::start(&lab.server, "", &blocking())?;
    assert_both_serve(lab, lab::DE4)?;
    weir.wait_for_events(PLANES.len(), "", SOON)?;
    weir.run(&["token", "create", "ci"])?;
    weir.stop()?;
    Ok(weir)
}

/// Starts Weir on a store that it cannot use: it names the file and goes on, and what
/// was shut stays shut.
fn start_on_bad_store(lab: &Lab, weir: &mut Weir<'_>) -> Result<()> {
    let before = weir.log().len();
    weir.launch()?;
    let said = weir.log().split_off(before);
    assert!(said.contains(&weir.data_dir().display().to_string()), "no path is named: {said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_both_deny(lab, lab::BLOCKED4)?;
    assert_both_serve(lab, lab::DE4)?;
    assert!(weir.is_running(), "{}", weir.log());
    Ok(())
}

fn is_failing(weir: &Weir<'_>) -> bool {
    weir.status().is_ok_and(|status| status["writer"]["failing"] == true)
}

/// What the audit log says of the record's gaps.
fn gaps(weir: &Weir<'_>) -> Result<Vec<String>> {
    let page = weir.api("/api/events/audit?page_size=100")?;
    let events = page["data"].as_array().context("no data")?.iter();
    let gaps = events.filter(|event| event["event"] == "gap");
    Ok(gaps.map(|event| event["details"]["message"].as_str().unwrap_or("").to_owned()).collect())
}

/// The store cannot be opened; what was buffered meanwhile is there once it can.
fn expect_recovery(weir: &Weir<'_>, heal: impl FnOnce() -> Result<()>) -> Result<()> {
    assert!(is_failing(weir), "{}", weir.log());
    let warned = weir.status()?["warnings"].to_string();
    assert!(warned.contains(&weir.data_dir().display().to_string()), "{warned}");
    assert_eq!(weir.api_status("/api/events/proxy")?, 503, "nobody knows what is there");
    heal()?;
    // Once with the store of before, once while it failed.
    weir.wait_for_events(2 * PLANES.len(), &format!("source_ip={}", lab::DE4), 2 * SOON)?;
    weir.wait_for_events(PLANES.len(), &format!("source_ip={}", lab::BLOCKED4), SOON)?;
    assert!(holds(SOON, || !is_failing(weir)));
    let told = || gaps(weir).is_ok_and(|gaps| gaps.iter().any(|gap| gap.contains("again")));
    assert!(holds(SOON, told), "{:?}", gaps(weir));
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

fn newest_file(weir: &Weir<'_>) -> Result<PathBuf> {
    let files = store_files(&weir.data_dir().join("records"))?;
    files.into_iter().max().context("there is no file of records")
}

#[test]
fn a_corrupt_store() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = with_store(&lab)?;
    weir.run(&["store", "verify"])?;
    let files = store_files(&weir.data_dir())?;
    assert!(files.len() >= 3, "records, audit log, tokens: {files:?}");
    for file in &files {
        let mut file = OpenOptions::new().write(true).open(file)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[0xa5; 8192])?;
    }
    let broken = newest_file(&weir)?.display().to_string();
    let verified = weir.run(&["store", "verify"]).expect_err("a damaged store").to_string();
    assert!(verified.contains(&broken), "{verified}");
    start_on_bad_store(&lab, &mut weir)?;
    weir.wait_for_events(PLANES.len(), &format!("source_ip={}", lab::DE4), SOON)?;
    weir.wait_for_events(PLANES.len(), &format!("source_ip={}", lab::BLOCKED4), SOON)?;
    for file in &files {
        assert!(file.with_extension("damaged").exists(), "{} is lost", file.display());
        let name = file.display().to_string();
        assert!(weir.log().contains(&name), "{name}: {}", weir.log());
        let told = || gaps(&weir).is_ok_and(|gaps| gaps.iter().any(|gap| gap.contains(&name)));
        assert!(holds(SOON, told), "{name}: {:?}", gaps(&weir));
    }
    weir.run(&["token", "create", "ci"])?;
    Ok(())
}

/// Locks every file of the store, until it is dropped.
fn lock_store(weir: &Weir<'_>) -> Result<Vec<File>> {
    let files: Vec<File> =
        store_files(&weir.data_dir())?.iter().map(File::open).collect::<Result<_, _>>()?;
    for file in &files {
        flock(file, FlockOperation::NonBlockingLockExclusive)?;
    }
    Ok(files)
}

#[test]
fn a_locked_store() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = with_store(&lab)?;
    let locked = lock_store(&weir)?;
    start_on_bad_store(&lab, &mut weir)?;
    expect_recovery(&weir, || {
        drop(locked);
        Ok(())
    })
}

/// A crash, attempts while no daemon runs, and a store that is not there at the
/// start: every attempt is accounted for once all the same.
#[test]
fn a_store_that_is_locked_after_a_crash() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = Weir::start(&lab.server, "", &blocking())?;
    assert_both_serve(&lab, lab::DE4)?;
    assert_both_deny(&lab, lab::BLOCKED4)?;
    weir.wait_for_events(2 * PLANES.len(), "", SOON)?;
    weir.kill()?;
    assert_both_deny(&lab, lab::BLOCKED4)?;
    let locked = lock_store(&weir)?;
    start_on_bad_store(&lab, &mut weir)?;
    drop(locked);
    weir.wait_for_events(2 * PLANES.len(), "verdict=allowed", 2 * SOON)?;
    let recorded = || weir.events("verdict=denied").map_or(0, |events| attempts(&events));
    let counted = kernel::denied_attempts(&lab.server)?;
    assert!(holds(SOON, || recorded() == counted), "{} of {counted}", recorded());
    assert_eq!(weir.events("verdict=allowed")?.len(), 2 * PLANES.len());
    Ok(())
}

#[test]
fn a_locked_store_with_traffic_to_be_refused() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = with_store(&lab)?;
    weir.configure("", &format!("[log]\non_store_failure = 'refuse'\n{}", blocking()))?;
    let locked = lock_store(&weir)?;
    weir.launch()?;
    assert_eq!(fate(&lab, lab::DE4, RELAYED)?, Some(Refusal::Reset));
    assert_both_deny(&lab, lab::BLOCKED4)?;
    assert!(weir.is_running());
    drop(locked);
    let served = || matches!(fate(&lab, lab::DE4, RELAYED), Ok(None));
    assert!(holds(2 * SOON, served), "{}", weir.log());
    Ok(())
}

/// What waits when the daemon is stopped is lost, and said to be.
#[test]
fn a_store_that_stays_locked_until_the_stop() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = with_store(&lab)?;
    let records = File::open(newest_file(&weir)?)?;
    flock(&records, FlockOperation::NonBlockingLockExclusive)?;
    start_on_bad_store(&lab, &mut weir)?;
    assert!(weir.stop()?.success());
    drop(records);
    weir.launch()?;
    let lost = |gap: &String| gap.contains("at the end") && gap.contains("records lost");
    assert!(gaps(&weir)?.iter().any(lost), "{:?}", gaps(&weir));
    Ok(())
}

#[test]
fn a_newer_store() -> Result<()> {
    const META: redb::TableDefinition<'_, &str, i64> = redb::TableDefinition::new("meta");
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = with_store(&lab)?;
    let newest = newest_file(&weir)?;
    let ours = fs::read(&newest)?;
    let database = redb::Database::open(&newest)?;
    let write = database.begin_write()?;
    write.open_table(META)?.insert("format", 1000)?;
    write.commit()?;
    drop(database);
    let theirs = fs::read(&newest)?;
    start_on_bad_store(&lab, &mut weir)?;
    assert!(weir.log().contains("newer Weir"), "{}", weir.log());
    assert!(fs::read(&newest)? == theirs, "it was changed");
    expect_recovery(&weir, || Ok(fs::write(&newest, &ours)?))
}

#[test]
fn a_read_only_store() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = Weir::install(&lab.server)?;
    let disk = Tmpfs::mount(&weir.data_dir(), 64)?;
    weir.configure("", &blocking())?;
    weir.launch()?;
    assert_both_serve(&lab, lab::DE4)?;
    weir.wait_for_events(PLANES.len(), "", SOON)?;
    weir.stop()?;
    disk.set_read_only()?;
    start_on_bad_store(&lab, &mut weir)?;
    expect_recovery(&weir, || disk.set_writable())
}

#[test]
fn a_full_disk() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = Weir::install(&lab.server)?;
    let disk = Tmpfs::mount(&weir.data_dir(), 32)?;
    let copy = weir.path("access.jsonl");
    let sink = format!("[[sink]]\nkind = 'jsonl'\npath = '{}'\n", copy.display());
    weir.configure("", &(sink + &blocking()))?;
    weir.launch()?;
    assert_both_serve(&lab, lab::DE4)?;
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
    assert_both_deny(&lab, lab::BLOCKED4)?;
    assert_both_serve(&lab, lab::DE4)?;

    fs::remove_file(ballast)?;
    assert_both_serve(&lab, lab::FR4)?;
    weir.wait_for_events(PLANES.len(), &format!("source_ip={}", lab::FR4), 2 * SOON)?;
    // The audit log had no room either: what it could not write is not lost, and it
    // works again.
    weir.run(&["token", "create", "ci"])?;
    let told = |what| gaps(&weir).is_ok_and(|gaps| gaps.iter().any(|gap| gap.contains(what)));
    assert!(holds(SOON, || told("cannot write") && told("again")), "{:?}", gaps(&weir));
    // The sink was told nothing as read that could not be.
    let recorded = || Ok::<_, anyhow::Error>(ids(weir.events("")?));
    let copied = || Ok::<_, anyhow::Error>(ids(fs::read_to_string(&copy)?.lines().map(parse)));
    let all = || matches!((recorded(), copied()), (Ok(a), Ok(b)) if a == b);
    assert!(holds(2 * SOON, all), "{:?} {:?}", recorded()?.len(), copied()?.len());
    Ok(())
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_default()
}

fn ids(records: impl IntoIterator<Item = Value>) -> BTreeSet<String> {
    records.into_iter().map(|record| record["id"].as_str().unwrap_or("").to_owned()).collect()
}
