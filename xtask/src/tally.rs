//! Running tests, and counting them.

use std::{
    fmt,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::programs::Program;

/// How many tests ended how.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Climbs one rung. One that cannot be climbed to its end has failed.
pub(crate) fn report(name: &str, total: &mut Counts, climb: impl FnOnce() -> Result<Counts>) {
    let since = Instant::now();
    let counts = climb().unwrap_or_else(|error| failed(name, &error));
    println!("{name}: {counts} ({:.0} s)", since.elapsed().as_secs_f64());
    total.add(&counts);
}

fn failed(name: &str, error: &anyhow::Error) -> Counts {
    println!("FAILED: {name}: {error:#}");
    Counts { failed: 1, ..Counts::default() }
}

/// Runs programs, so many at a time, and at least two tests of each.
pub(crate) fn in_lanes(programs: &[Program], lanes: usize) -> Result<Counts> {
    let threads = (thread::available_parallelism()?.get() / lanes).max(2).to_string();
    let next = AtomicUsize::new(0);
    let lane = || {
        let mut counts = Counts::default();
        while let Some(program) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut command = program.command();
            command.env("RUST_TEST_THREADS", &threads);
            let name = format!("{program:?}");
            counts.add(&tested(&mut command).unwrap_or_else(|error| failed(&name, &error)));
        }
        counts
    };
    let mut total = Counts::default();
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        for lane in lanes {
            let counts = lane.join().unwrap_or(Counts { failed: 1, ..Counts::default() });
            total.add(&counts);
        }
    });
    Ok(total)
}

/// Runs tests. What failed and why is shown; what passed is counted.
pub(crate) fn tested(command: &mut Command) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{command:?}"))?;
    let stderr = child.stderr.take().context("a pipe")?;
    let skips = thread::spawn(move || follow_stderr(BufReader::new(stderr)));
    let stdout = BufReader::new(child.stdout.take().context("a pipe")?);
    let mut shown = String::new();
    for line in stdout.lines() {
        let line = line?;
        if let Some(result) = line.strip_prefix("test result: ") {
            count(result, &mut counts);
        } else if !line.ends_with("... ok") && !line.starts_with("running ") {
            shown.push_str(&line);
            shown.push('\n');
        }
    }
    let (skipped, errors) = skips.join().unwrap_or_default();
    let status = child.wait().with_context(|| format!("{command:?}"))?;
    counts.skipped += skipped;
    counts.passed = counts.passed.saturating_sub(skipped);
    if !status.success() {
        println!("{command:?}\n{errors}\n{shown}");
    }
    if !status.success() && counts.failed == 0 {
        bail!("{command:?}: {status}, and no test said why");
    }
    Ok(counts)
}

/// Counts tests that could not run, and says why; keeps the rest.
fn follow_stderr(stderr: impl BufRead) -> (u32, String) {
    let (mut skipped, mut rest) = (0, String::new());
    for line in stderr.lines().map_while(Result::ok) {
        if line.starts_with("SKIPPED: ") {
            println!("{line}");
            skipped += 1;
        } else {
            rest.push_str(&line);
            rest.push('\n');
        }
    }
    (skipped, rest)
}

/// `ok. 3 passed; 0 failed; 1 ignored; ...`, or as [`Counts`] are shown.
pub(crate) fn count(result: &str, counts: &mut Counts) {
    for part in result.split([';', '.', ',']) {
        let mut words = part.split_whitespace();
        let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
        let Ok(number) = number.parse::<u32>() else { continue };
        match what {
            "passed" => counts.passed += number,
            "failed" => counts.failed += number,
            "ignored" | "skipped" => counts.skipped += number,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_result_line() {
        let mut counts = Counts::default();
        count("ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out", &mut counts);
        count("FAILED. 281 passed; 2 failed; 0 ignored; 0 measured", &mut counts);
        count("16 passed, 1 failed, 1 skipped", &mut counts);
        assert_eq!(counts.to_string(), "300 passed, 3 failed, 2 skipped");
    }

    #[test]
    fn what_was_skipped_is_told_apart_from_what_failed() {
        let (skipped, rest) = follow_stderr(&b"warning: a\nSKIPPED: t: no root\nerror: b\n"[..]);
        assert_eq!((skipped, rest.as_str()), (1, "warning: a\nerror: b\n"));
    }
}
