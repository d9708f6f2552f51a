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

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::load::{Load, Size, Version};
use crate::process::output;

/// Within a load, behind its warm-up: how long the time is taken.
const AFTER: Duration = Duration::from_millis(1500);
const WINDOW: Duration = Duration::from_secs(2);
/// Ticks a second of `/proc/PID/stat` (proc(5)), the same on every machine that Weir runs on.
const TICKS: f64 = 100.0;
/// Functions that take less are not listed, in percent.
const LEAST: &str = "0.4";

/// The loads whose time is looked at.
pub(super) const LOADS: [Load; 2] =
    [Load::Requests(Version::Http1, Size::Small), Load::Requests(Version::Http2, Size::Small)];

/// Ticks in the process and in the kernel, by the names of threads.
type Times = BTreeMap<String, (u64, u64)>;

/// Puts `load` on the proxy, and gives what a request took of it.
pub(super) fn times(pid: u32, run: impl FnOnce() -> Result<f64> + Send) -> Result<Value> {
    thread::scope(|scope| {
        let load = scope.spawn(run);
        thread::sleep(AFTER);
        let (before, began) = (taken(pid)?, Instant::now());
        thread::sleep(WINDOW);
        let (after, seconds) = (taken(pid)?, began.elapsed().as_secs_f64());
        let rate = load.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        let each = |ticks: u64| {
            f64::from(u32::try_from(ticks).unwrap_or(u32::MAX)) / TICKS * 1e6 / seconds / rate
        };
        let mut threads = Vec::new();
        let (mut all_user, mut all_system) = (0, 0);
        for (name, (user, system)) in after {
            let (user_before, system_before) = before.get(&name).copied().unwrap_or_default();
            let (user, system) = (user - user_before, system - system_before);
            (all_user, all_system) = (all_user + user, all_system + system);
            if user + system > 1 {
                threads.push(json!({ "thread": name, "user": each(user), "kernel": each(system) }));
            }
        }
        let (user, kernel) = (each(all_user), each(all_system));
        println!(
            "  {rate:>9.0} requests a second, {user:.1} us in it and {kernel:.1} us in the kernel each"
        );
        Ok(json!({
            "requests_per_second": rate,
            "microseconds_a_request": { "user": user, "kernel": kernel, "threads": threads },
        }))
    })
}

/// Puts a load on the proxy, and gives the functions that its time goes to.
pub(super) fn functions(
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
        load.join().map_err(|_| anyhow::anyhow!("the load panicked"))?
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

fn add(times: &mut Times, name: &str, (user, system): (u64, u64)) {
    let all = times.entry(name.to_owned()).or_default();
    *all = (all.0 + user, all.1 + system);
}

/// The thread's name, and its ticks in the process and in the kernel (`proc_pid_stat(5)`).
fn parsed(stat: &str) -> Option<(&str, u64, u64)> {
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
