//! `cargo xtask test`

use std::{
    fmt,
    io::{BufRead, BufReader},
    process::{Command, ExitCode, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{
    build::{Options, kernel_programs, object_from_here},
    ci,
    process::{cargo, is_root},
    programs::{self, Program},
    setup, toolchain,
};

/// One rung of the ladder.
struct Rung {
    name: &'static str,
    needs_root: bool,
    tests: Tests,
}

/// What a rung runs.
enum Tests {
    /// What cargo is asked to test.
    Asked(&'static [&'static str]),
    /// All test programs of a package, one after the other.
    Of(&'static str),
    /// The same, where they mostly wait, for others to start and limits to pass: several of
    /// them run at a time.
    InLanes(&'static str),
}

const RUNGS: [Rung; 7] = [
    Rung {
        name: "unit: parser, verdict, accounting",
        needs_root: false,
        tests: Tests::Of("proxy-common"),
    },
    Rung {
        name: "unit: the daemon's rooms",
        needs_root: false,
        tests: Tests::Asked(&["--package=proxy-user", "--lib"]),
    },
    // It leaves a `weir` that logs, which the next one replaces: the end-to-end tests
    // start what is there.
    Rung {
        name: "BPF_PROG_TEST_RUN: the log of kernel programs that have one",
        needs_root: true,
        tests: Tests::Asked(&["--package=proxy-user", "--test=kernel", "--features=log", "log::"]),
    },
    Rung {
        name: "BPF_PROG_TEST_RUN: the kernel programs",
        needs_root: true,
        tests: Tests::Asked(&["--package=proxy-user", "--test=kernel"]),
    },
    Rung {
        name: "crash: kill -9 and power cuts",
        needs_root: true,
        tests: Tests::Asked(&["--package=proxy-user", "--test=crash"]),
    },
    Rung {
        name: "end to end: network namespaces",
        needs_root: true,
        tests: Tests::InLanes("weir-tests"),
    },
    Rung {
        name: "xtask, and what the README says",
        needs_root: false,
        tests: Tests::Asked(&["--package=xtask"]),
    },
];

#[derive(Default)]
struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Counts {
    fn add(&mut self, other: &Self) {
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

/// Climbs all rungs, whatever fails; the last line tells the counts.
pub(crate) fn run() -> Result<ExitCode> {
    setup::for_tests()?;
    for log in [false, true] {
        kernel_programs(Options { log })?;
    }
    // Before anything is checked, so that what does not build is told once.
    programs::of("weir-tests")?;
    let mut total = Counts::default();
    report("format, structure, lints", &mut total, || Ok(sources()));
    for rung in &RUNGS {
        report(rung.name, &mut total, || climb(rung));
    }
    println!("{total}");
    Ok(if total.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Climbs one rung. One that cannot be climbed to its end has failed.
fn report(name: &str, total: &mut Counts, climb: impl FnOnce() -> Result<Counts>) {
    let since = Instant::now();
    let counts = climb().unwrap_or_else(|error| failed(name, &error));
    println!("{name}: {counts} ({:.0} s)", since.elapsed().as_secs_f64());
    total.add(&counts);
}

fn failed(name: &str, error: &anyhow::Error) -> Counts {
    println!("FAILED: {name}: {error:#}");
    Counts { failed: 1, ..Counts::default() }
}

/// What can be told of the sources without running them.
fn sources() -> Counts {
    let mut counts = Counts::default();
    for check in ci::CHECKS {
        if let Err(error) = check.component.map_or(Ok(()), toolchain::component) {
            println!("SKIPPED: {}: {error:#}", check.name);
            counts.skipped += 1;
        } else if let Err(error) = (check.run)() {
            println!("FAILED: {}: {error:#}", check.name);
            counts.failed += 1;
        } else {
            counts.passed += 1;
        }
    }
    counts
}

/// Runs one rung. What failed and why is shown; what passed is counted.
fn climb(rung: &Rung) -> Result<Counts> {
    if rung.needs_root && !is_root() {
        println!("SKIPPED: {}: needs root", rung.name);
        return Ok(Counts { skipped: 1, ..Counts::default() });
    }
    match rung.tests {
        Tests::Asked(arguments) => {
            let mut command = cargo();
            command.args(["test", "--no-fail-fast"]).args(arguments);
            // Many wait, for a timeout of TCP's or of a provider's.
            let threads = 2 * thread::available_parallelism()?.get();
            command.env("RUST_TEST_THREADS", threads.to_string());
            tested(object_from_here(&mut command))
        }
        Tests::Of(package) => in_lanes(&programs::of(package)?, 1),
        Tests::InLanes(package) => {
            in_lanes(&programs::of(package)?, thread::available_parallelism()?.get())
        }
    }
}

/// Runs programs, so many at a time, and at least two tests of each.
fn in_lanes(programs: &[Program], lanes: usize) -> Result<Counts> {
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

/// Runs tests.
fn tested(command: &mut Command) -> Result<Counts> {
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

/// `ok. 3 passed; 0 failed; 1 ignored; ...`
fn count(result: &str, counts: &mut Counts) {
    for part in result.split([';', '.']) {
        let mut words = part.split_whitespace();
        let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
        let Ok(number) = number.parse::<u32>() else { continue };
        match what {
            "passed" => counts.passed += number,
            "failed" => counts.failed += number,
            "ignored" => counts.skipped += number,
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
        assert_eq!(counts.to_string(), "284 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn what_was_skipped_is_told_apart_from_what_failed() {
        let (skipped, rest) = follow_stderr(&b"warning: a\nSKIPPED: t: no root\nerror: b\n"[..]);
        assert_eq!((skipped, rest.as_str()), (1, "warning: a\nerror: b\n"));
    }
}
