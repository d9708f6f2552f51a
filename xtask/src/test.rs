//! `cargo xtask test`

use std::{process::ExitCode, thread};

use anyhow::Result;

use crate::{
    build::{Options, kernel_programs, object_from_here},
    ci,
    process::{cargo, is_root},
    programs, setup,
    tally::{Counts, in_lanes, report, tested},
    toolchain,
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

/// Runs one rung.
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
