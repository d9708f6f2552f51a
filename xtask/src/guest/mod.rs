//! `cargo xtask test --kernel`: tests on another kernel, in a machine of qemu's that has the
//! host's files.

mod initrd;
mod kernels;
mod machine;

use std::{fmt::Write, fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, ensure};

pub(crate) use self::kernels::Kernel;
use crate::{
    build::{Options, kernel_programs},
    programs::{self, Program},
    setup,
    tally::{Counts, report, tested},
};

/// The first that has the kernel plane.
const PLANE_SINCE: Kernel = Kernel::Trixie;

/// Some test programs.
struct Scenario {
    of: &'static str,
    /// The kernel from which on it is run.
    since: Kernel,
    package: &'static str,
    programs: &'static [&'static str],
}

/// What is run: whatever a kernel may do in its own way. HTTP and sign-in, API and dashboard,
/// the store and the examples are the same on each.
const SCENARIOS: [Scenario; 5] = [
    Scenario {
        of: "BPF_PROG_TEST_RUN",
        since: Kernel::Bookworm,
        package: "proxy-user",
        programs: &["kernel"],
    },
    Scenario {
        of: "verdict",
        since: Kernel::Bookworm,
        package: "weir-tests",
        programs: &["hooks", "modes", "interfaces", "untouched", "addresses", "flood"],
    },
    Scenario {
        of: "guard",
        since: Kernel::Bookworm,
        package: "weir-tests",
        programs: &["bytes", "ends", "cut", "crash", "ssh", "udp_guard", "unread"],
    },
    Scenario {
        of: "relay",
        since: Kernel::Bookworm,
        package: "weir-tests",
        programs: &["proxy", "reload", "stop", "targets", "tls", "udp", "udp_sessions"],
    },
    Scenario {
        of: "kernel plane",
        since: PLANE_SINCE,
        package: "weir-tests",
        programs: &["plane", "plane_failures", "plane_ways"],
    },
];

/// How the guest tells of all its tests.
const RESULT: &str = "guest: ";

/// Runs what concerns kernels on one, or `only` these programs of it.
pub(crate) fn run(kernel: Kernel, only: &[String]) -> Result<ExitCode> {
    setup::for_guests()?;
    kernel_programs(Options { log: false })?;
    let unpacked = kernel.get()?;
    fs::write(unpacked.directory.join("plan"), plan(kernel, only)?)?;
    let mut total = Counts::default();
    report(&format!("kernel {}", unpacked.release), &mut total, || {
        let counts = machine::run(&unpacked)?;
        ensure!(counts.passed > 0, "no test passed");
        Ok(counts)
    });
    println!("{total}");
    Ok(if total.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The programs to run, a line each.
fn plan(kernel: Kernel, only: &[String]) -> Result<String> {
    // Of programs that have tests of the kernel plane too.
    let skip = if kernel < PLANE_SINCE { "--skip=plane" } else { "" };
    let wanted = |name: &&&str| only.is_empty() || only.iter().any(|one| one == **name);
    let mut lines = String::new();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.since <= kernel) {
        let built = programs::of(scenario.package)?;
        for name in scenario.programs.iter().filter(wanted) {
            let program = built.iter().find(|program| program.name() == *name);
            let program = program.with_context(|| format!("there is no test program {name}"))?;
            writeln!(lines, "{}\t{skip}\t{}", scenario.of, program.to_line()?)?;
        }
    }
    Ok(lines)
}

/// Within the guest: runs the programs of a plan.
pub(crate) fn within(plan: &Path) -> Result<ExitCode> {
    let plan = fs::read_to_string(plan).with_context(|| plan.display().to_string())?;
    let mut total = Counts::default();
    for line in plan.lines() {
        let mut parts = line.splitn(3, '\t');
        let mut part = || parts.next().context("a line that is too short");
        let (scenario, skip, program) = (part()?, part()?, Program::from_line(part()?)?);
        let mut command = program.command();
        command.args(Some(skip).filter(|skip| !skip.is_empty()));
        let name = format!("{scenario}: {}", program.name());
        // Two at a time: qemu's processors are slow, and tests have deadlines.
        report(&name, &mut total, || tested(command.env("RUST_TEST_THREADS", "2")));
    }
    println!("{RESULT}{total}");
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_that_is_to_be_run_has_a_source() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let all = SCENARIOS.iter().flat_map(|of| of.programs.iter().map(|name| (of.package, name)));
        for (package, name) in all {
            let source = match package {
                "proxy-user" => workspace.join("proxy-user/tests").join(name).join("main.rs"),
                _ => workspace.join("tests/tests").join(format!("{name}.rs")),
            };
            assert!(source.is_file(), "{package} has no test program {name}");
        }
    }
}
