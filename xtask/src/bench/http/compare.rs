//! What a change of Weir brings: the processor's time that a request takes of several builds,
//! each beside the one before it. All of them run at once, and take short bursts in turn:
//! whatever else the machine does meanwhile, it does to all.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::{
    sys::time::TimeValLike,
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_tests::{names, ns::Namespace, tls::Certificate, weir::Weir};

use super::{
    super::{load::wait_for, stats::median_with_confidence},
    DOMAIN,
    load::{Version, burst},
    proxies::{HTTPS, weir},
    target::{self, Target},
};
use crate::{
    bench::proxies::Started,
    build::{Options, release},
};

const ROUNDS: usize = 40;
/// Requests of a burst, which takes about a second.
const REQUESTS: u32 = 20_000;
const HERE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A build, running in a namespace of its own with a target of its own.
struct Contender<'a> {
    name: String,
    namespace: &'a Namespace,
    weir: Weir<'a>,
    _target: Target,
    _directory: TempDir,
}

/// Measures `builds`, the oldest first, and the one of now behind them.
pub(in super::super) fn compare(builds: &[PathBuf]) -> Result<Value> {
    let now = release(Options::default())?.canonicalize()?;
    let builds: Vec<&Path> = builds.iter().chain([&now]).map(PathBuf::as_path).collect();
    let namespaces =
        builds.iter().map(|_| Namespace::create("build")).collect::<Result<Vec<_>>>()?;
    let mut contenders = Vec::new();
    for (build, namespace) in builds.iter().zip(&namespaces) {
        contenders.push(start(build, namespace).with_context(|| build.display().to_string())?);
    }
    let mut results = Vec::new();
    for version in [Version::Http1, Version::Http2] {
        let rounds = rounds(version, &contenders)?;
        results.push(shown(version, &contenders, &rounds));
    }
    for Contender { weir, .. } in contenders {
        Started::Weir(weir).stop()?;
    }
    Ok(json!(results))
}

fn start<'a>(build: &Path, namespace: &'a Namespace) -> Result<Contender<'a>> {
    let directory = TempDir::with_prefix(names::prefix())?;
    let certificate = Certificate::new(directory.path(), &[DOMAIN])?;
    let target = target::start(namespace, HERE, directory.path())?;
    let weir = weir(namespace, build, target.address, &certificate)?;
    wait_for(namespace, HTTPS)?;
    let name = build.file_name().context("it has no name")?.to_string_lossy().into_owned();
    Ok(Contender { name, namespace, weir, _target: target, _directory: directory })
}

/// Microseconds that a request took, by contender and round.
fn rounds(version: Version, contenders: &[Contender<'_>]) -> Result<Vec<Vec<f64>>> {
    let mut all = vec![Vec::new(); contenders.len()];
    // The first round warms caches and connections to the target.
    for round in 0..=ROUNDS {
        for turn in 0..contenders.len() {
            let index = (turn + round) % contenders.len();
            let cost = contenders[index].burst(version)?;
            if round > 0 {
                all[index].push(cost);
            }
        }
    }
    println!("bench: {ROUNDS} rounds of {}", version.name());
    Ok(all)
}

impl Contender<'_> {
    /// Microseconds of a processor that a request takes, in the process and in the kernel.
    fn burst(&self, version: Version) -> Result<f64> {
        let before = self.taken()?;
        burst(version, self.namespace, HERE, REQUESTS)?;
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a second")]
        let nanoseconds = (self.taken()? - before) as f64;
        Ok(nanoseconds / 1000.0 / f64::from(REQUESTS))
    }

    /// Nanoseconds of a processor that all of its threads, ended ones too, have taken.
    fn taken(&self) -> Result<i64> {
        let pid = Pid::from_raw(i32::try_from(self.weir.id()?)?);
        Ok(clock_gettime(clock_getcpuclockid(pid)?)?.num_nanoseconds())
    }
}

/// Prints what requests take and how that changed, and gives it with the rounds.
fn shown(version: Version, contenders: &[Contender<'_>], rounds: &[Vec<f64>]) -> Value {
    let mut results = Vec::new();
    for (index, contender) in contenders.iter().enumerate() {
        let (cost, _) = median_with_confidence(&rounds[index]);
        let since = |before: usize| change(&rounds[before], &rounds[index]);
        let (last, first) = (since(index.saturating_sub(1)), since(0));
        println!(
            "{} {:26} {cost:5.1} us a request, to the one before {}, to the first {}",
            version.name(),
            contender.name,
            text(&last),
            text(&first)
        );
        results.push(json!({
            "build": contender.name,
            "microseconds_a_request": { "median": cost, "rounds": rounds[index] },
            "percent_to_the_one_before": { "median": last.0, "interval_95": last.1 },
            "percent_to_the_first": { "median": first.0, "interval_95": first.1 },
        }));
    }
    json!({ "load": version.name(), "builds": results })
}

/// Median of the changes from burst to burst of a round, in percent, and its interval.
fn change(before: &[f64], after: &[f64]) -> (f64, [f64; 2]) {
    let each = before.iter().zip(after).map(|(before, after)| (after / before - 1.0) * 100.0);
    median_with_confidence(&each.collect::<Vec<_>>())
}

fn text((change, [low, high]): &(f64, [f64; 2])) -> String {
    format!("{change:+5.1} % ({low:+5.1} to {high:+5.1})")
}
