//! Where the time goes: the processor's time that a proxy takes for a request, of each of
//! its threads, and of Weir the functions that it is spent in.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use super::{
    super::stats::median,
    Place,
    load::{Load, Size, Version},
    proxies::{Proxy, versions},
};
use crate::process::output;

/// Within a load, behind its warm-up: how long the time is taken.
const AFTER: Duration = Duration::from_millis(1500);
const WINDOW: Duration = Duration::from_secs(2);
/// Ticks a second of `/proc/PID/stat` (proc(5)), the same on every machine that Weir runs on.
const TICKS: f64 = 100.0;
/// Functions that take less are not listed, in percent.
const LEAST: &str = "0.4";

const ROUNDS: usize = 5;

/// The loads whose time is looked at.
const LOADS: [Load; 2] =
    [Load::Requests(Version::Http1, Size::Small), Load::Requests(Version::Http2, Size::Small)];

/// What is looked at.
const PROXIES: [Proxy; 3] = [Proxy::Weir, Proxy::Nginx, Proxy::Haproxy];

/// Ticks in the process and in the kernel, by the names of threads.
type Times = BTreeMap<String, (u32, u32)>;

/// What a request takes, in microseconds of a processor, by thread: in the process and in the
/// kernel.
type Costs = BTreeMap<String, (f64, f64)>;

/// Of a load in one round.
struct Figure {
    rate: f64,
    costs: Costs,
}

/// Where the time of small requests goes.
pub(in super::super) fn profile() -> Result<Value> {
    let place = Place::new()?;
    let mut figures: BTreeMap<(Load, Proxy), Vec<Figure>> = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut order = PROXIES;
        order.rotate_left(round % PROXIES.len());
        for proxy in order {
            let started = place.start(proxy)?;
            for load in LOADS {
                let figure = times(started.id()?, || load.run(&place.lab.clients, None))?;
                figures.entry((load, proxy)).or_default().push(figure);
            }
            started.stop()?;
        }
        println!("bench: round {} of {ROUNDS}", round + 1);
    }
    let mut results = Vec::new();
    for ((load, proxy), rounds) in figures {
        results.push(shown(load, proxy.name(), &rounds));
    }
    let started = place.start(Proxy::Weir)?;
    let mut functions = serde_json::Map::new();
    for load in LOADS {
        let run = || load.run(&place.lab.clients, None);
        let of = self::functions(started.id()?, place.directory.path(), run)?;
        functions.insert(load.name().to_owned(), of.into());
    }
    started.stop()?;
    Ok(json!({ "versions": versions()?, "times": results, "functions_of_weir": functions }))
}

/// Prints medians, and gives them with the rounds that they are of.
fn shown(load: Load, name: &str, rounds: &[Figure]) -> Value {
    let of = |value: fn(&Figure) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
    let rates = of(|figure| figure.rate);
    let user = of(|figure| figure.costs.values().map(|cost| cost.0).sum());
    let kernel = of(|figure| figure.costs.values().map(|cost| cost.1).sum());
    let rate = median(&rates);
    let (in_it, in_kernel) = (median(&user), median(&kernel));
    println!(
        "{} {name:12} {rate:>7.0} requests a second, {in_it:5.1} us in it and {in_kernel:5.1} us \
         in the kernel for each",
        load.name()
    );
    let threads: Vec<_> = rounds.iter().map(|figure| json!(figure.costs)).collect();
    json!({
        "load": load.name(),
        "proxy": name,
        "requests_per_second": { "median": rate, "rounds": rates },
        "microseconds_in_it": { "median": in_it, "rounds": user },
        "microseconds_in_the_kernel": { "median": in_kernel, "rounds": kernel },
        "threads": threads,
    })
}

/// Puts a load on the proxy, and gives what a request takes of it.
fn times(pid: u32, run: impl FnOnce() -> Result<f64> + Send) -> Result<Figure> {
    thread::scope(|scope| {
        let load = scope.spawn(run);
        thread::sleep(AFTER);
        let (before, began) = (taken(pid)?, Instant::now());
        thread::sleep(WINDOW);
        let (after, seconds) = (taken(pid)?, began.elapsed().as_secs_f64());
        let rate = load.join().map_err(|_| anyhow!("the load panicked"))??;
        let each = |ticks: u32| f64::from(ticks) / TICKS * 1e6 / seconds / rate;
        let cost = |(name, (user, system)): (String, (u32, u32))| {
            let (user_before, system_before) = before.get(&name).copied().unwrap_or_default();
            let since = |now: u32, before: u32| each(now.saturating_sub(before));
            (name, (since(user, user_before), since(system, system_before)))
        };
        Ok(Figure { rate, costs: after.into_iter().map(cost).collect() })
    })
}

/// Puts a load on the proxy, and gives the functions that its time goes to.
fn functions(
    pid: u32,
    directory: &Path,
    run: impl FnOnce() -> Result<f64> + Send,
) -> Result<Vec<String>> {
    let data = directory.join("perf.data");
    thread::scope(|scope| {
        let load = scope.spawn(run);
        thread::sleep(AFTER);
        let mut record = Command::new("perf");
        record.args(["record", "--quiet", "--event", "cpu-clock", "--freq", "5000"]);
        record.args(["--pid", &pid.to_string(), "--output"]).arg(&data);
        output(record.args(["--", "sleep", &WINDOW.as_secs().to_string()]))?;
        load.join().map_err(|_| anyhow!("the load panicked"))?
    })?;
    let mut report = Command::new("perf");
    report.args(["report", "--stdio", "--quiet", "--no-children", "--sort", "comm,symbol"]);
    let report = output(report.args(["--percent-limit", LEAST, "--input"]).arg(&data))?;
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(report.lines().map(line).filter(|line| !line.is_empty()).collect())
}

/// What the process and its children have taken until now.
fn taken(pid: u32) -> Result<Times> {
    let mut times = Times::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("it has ended")? {
        let task = task?.path();
        let stat = fs::read_to_string(task.join("stat"))?;
        let (name, user, system) = parsed(&stat).with_context(|| stat.clone())?;
        add(&mut times, name, (user, system));
        for child in fs::read_to_string(task.join("children"))?.split_whitespace() {
            for (name, taken) in taken(child.parse()?)? {
                add(&mut times, &name, taken);
            }
        }
    }
    Ok(times)
}

fn add(times: &mut Times, name: &str, (user, system): (u32, u32)) {
    let all = times.entry(name.to_owned()).or_default();
    *all = (all.0 + user, all.1 + system);
}

/// The thread's name, and its ticks in the process and in the kernel (`proc_pid_stat(5)`).
fn parsed(stat: &str) -> Option<(&str, u32, u32)> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some((name, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 15 25 0 0";
        assert_eq!(parsed(stat), Some(("a) b (c", 15, 25)));
    }
}
