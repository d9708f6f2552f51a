//! Filters of the clsact qdisc, which kernels before 6.6 have instead of links.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use proxy_user::{config::Hook, datapath::TcAttachment};
use serde_json::Value;
use weir_tests::{
    client::Refusal,
    wait::{SOON, holds},
};

use crate::{
    harness::Result,
    host::{ALLOWED, BLOCKED, Host},
};

const CLSACT: TcAttachment = TcAttachment::Clsact;

/// Priority, handle and program's kernel id of each BPF filter on one side of `wan`.
fn filters(host: &Host, side: &str) -> Result<Vec<(u64, String, u64)>> {
    let shown = host.namespace.run(&format!("tc -j filter show dev wan {side}"))?;
    let shown: Vec<Value> = serde_json::from_str(&shown)?;
    let filter = |filter: &Value| {
        let (options, kind) = (&filter["options"], &filter["kind"]);
        let handle = options["handle"].as_str().filter(|_| kind == "bpf")?;
        Some((filter["pref"].as_u64()?, handle.to_owned(), options["prog"]["id"].as_u64()?))
    };
    Ok(shown.iter().filter_map(filter).collect())
}

/// Has the host copy what comes from `source` and gets as far as priority `priority`.
fn mirror(host: &Host, priority: u32, source: &str) -> Result {
    host.namespace.run(&format!(
        "tc filter add dev wan ingress protocol ip prio {priority} u32 match ip src {source} \
         action mirred egress mirror dev spare continue"
    ))?;
    Ok(())
}

/// Packets that [`mirror`] has copied.
fn mirrored(host: &Host, priority: u32) -> Result<u64> {
    let shown = host.namespace.run("tc -s -j filter show dev wan ingress")?;
    let shown: Vec<Value> = serde_json::from_str(&shown)?;
    let of = shown.iter().filter(|filter| filter["pref"] == priority);
    let actions = of.filter_map(|filter| filter["options"]["actions"].as_array()).flatten();
    Ok(actions.filter_map(|action| action["stats"]["packets"].as_u64()).sum())
}

#[test]
fn a_filter_judges_and_what_passes_reaches_the_filters_behind() -> Result {
    let host = Host::new()?;
    let mut daemon = host.start(CLSACT)?;
    mirror(&host, 7, "192.0.2.2")?;
    mirror(&host, 8, "192.0.2.3")?;
    assert_eq!(host.fate(ALLOWED)?, None);
    assert_eq!(host.fate(BLOCKED)?, Some(Refusal::Silence));
    assert!(mirrored(&host, 7)? > 0);
    assert_eq!(mirrored(&host, 8)?, 0);

    let attached = host.sync(&mut daemon, Hook::Tc)?;
    assert_eq!(attached.hook, Hook::Tc);
    assert_eq!(attached.why, "clsact: this kernel has no TCX");
    assert_eq!(fs::read_dir(daemon.pins.links())?.count(), 0);
    Ok(())
}

#[test]
fn filters_outlive_the_daemon_and_the_next_one_replaces_them_without_a_gap() -> Result {
    let host = Host::new()?;
    let daemon = host.start(CLSACT)?;
    let before = [filters(&host, "ingress")?, filters(&host, "egress")?].concat();
    assert_eq!(before.len(), 2);
    drop(daemon);
    assert_eq!(host.fate(BLOCKED)?, Some(Refusal::Silence));

    let (ended, tried) = (AtomicBool::new(false), AtomicUsize::new(0));
    let served = thread::scope(|scope| -> Result<usize> {
        let trying = scope.spawn(|| {
            let mut served = 0;
            while !ended.load(Ordering::Relaxed) {
                let fate = host.fate(BLOCKED).map_err(|error| error.to_string())?;
                served += usize::from(fate != Some(Refusal::Silence));
                tried.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, String>(served)
        });
        let restarted = (0..3).try_for_each(|_| host.start(CLSACT).map(drop));
        let more = tried.load(Ordering::Relaxed) + 1;
        let after = holds(SOON, || tried.load(Ordering::Relaxed) >= more);
        ended.store(true, Ordering::Relaxed);
        let served = trying.join().map_err(|_| "the client panicked")??;
        restarted?;
        assert!(after);
        Ok(served)
    })?;
    assert_eq!(served, 0);

    let after = [filters(&host, "ingress")?, filters(&host, "egress")?].concat();
    assert_eq!(after.len(), before.len(), "{after:?}");
    for ((priority, handle, program), now) in before.into_iter().zip(after) {
        assert_eq!((priority, handle), (now.0, now.1));
        assert_ne!(program, now.2);
    }
    Ok(())
}

#[test]
fn after_a_crash_everything_of_ours_is_found_and_removed() -> Result {
    let host = Host::new()?;
    let before = host.namespace.run("tc qdisc show")?;
    drop(host.start(CLSACT)?);
    assert!(host.remove()?);
    assert_eq!(host.namespace.run("tc qdisc show")?, before);
    assert_eq!(host.fate(BLOCKED)?, None);
    assert!(!host.remove()?);
    Ok(())
}

/// Ours are known without the pins.
#[test]
fn filters_are_removed_where_the_pins_are_lost() -> Result {
    let host = Host::new()?;
    let daemon = host.start(CLSACT)?;
    let maps = daemon.pins.maps();
    drop(daemon);
    fs::remove_dir_all(maps.parent().ok_or("no parent")?)?;
    assert_eq!(host.fate(BLOCKED)?, Some(Refusal::Silence));
    assert!(host.remove()?);
    assert_eq!(host.fate(BLOCKED)?, None);
    Ok(())
}

#[test]
fn the_qdisc_and_filters_of_others_stay() -> Result {
    for theirs_is_first in [true, false] {
        let host = Host::new()?;
        if theirs_is_first {
            host.namespace.run("tc qdisc add dev wan clsact")?;
            mirror(&host, 1, "192.0.2.3")?;
        }
        let mut daemon = host.start(CLSACT)?;
        if !theirs_is_first {
            mirror(&host, 2, "192.0.2.3")?;
        }
        let attached = host.sync(&mut daemon, Hook::Tc)?;
        let own: Vec<u64> = filters(&host, "ingress")?.iter().map(|filter| filter.0).collect();
        assert_eq!(own, [if theirs_is_first { 2 } else { 1 }]);
        assert_eq!(attached.why.contains("behind others'"), theirs_is_first, "{}", attached.why);
        assert_eq!(host.fate(BLOCKED)?, Some(Refusal::Silence));

        assert!(host.remove()?);
        assert_eq!([filters(&host, "ingress")?, filters(&host, "egress")?].concat(), []);
        let copied = mirrored(&host, if theirs_is_first { 1 } else { 2 })?;
        assert_eq!(host.fate(BLOCKED)?, None);
        assert!(mirrored(&host, if theirs_is_first { 1 } else { 2 })? > copied);
    }
    Ok(())
}

#[test]
fn a_filter_that_somebody_removed_comes_back() -> Result {
    let host = Host::new()?;
    let mut daemon = host.start(CLSACT)?;
    host.namespace.run("tc qdisc del dev wan clsact")?;
    assert_eq!(host.fate(BLOCKED)?, None);
    host.sync(&mut daemon, Hook::Tc)?;
    assert_eq!(host.fate(BLOCKED)?, Some(Refusal::Silence));
    Ok(())
}

#[test]
fn this_kernel_is_probed() -> Result {
    let host = Host::new()?;
    let daemon = host.start(TcAttachment::probe())?;
    let by_link = fs::read_dir(daemon.pins.links())?.count();
    let by_filter = filters(&host, "ingress")?.len() + filters(&host, "egress")?.len();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let modern = (numbers.next(), numbers.next()) >= (Some(6), Some(6));
    assert_eq!((by_link, by_filter), if modern { (2, 0) } else { (0, 2) }, "{release}");
    Ok(())
}
