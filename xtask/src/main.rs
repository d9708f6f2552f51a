//! `cargo xtask`: one file for each command.

mod apart;
mod backend;
mod bench;
mod build;
mod ci;
mod demo;
mod fuzz;
mod guest;
mod process;
mod programs;
mod rooms;
mod run;
mod scan;
mod setup;
mod tally;
mod test;
mod toolchain;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Set up, build, run, test and measure Weir
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing, and say what
    Setup,
    /// Build target/release/weir, kernel programs included
    Build(build::Options),
    /// Set up, build and run Weir on examples/quickstart.toml (root)
    Run(build::Options),
    /// Run every test that can run here
    Test {
        /// Those that concern the kernel, on one of Debian's, in a machine of qemu's
        #[arg(long, value_enum, value_name = "VERSION")]
        kernel: Option<guest::Kernel>,
        /// Of those only these test programs
        #[arg(requires = "kernel", value_name = "PROGRAM")]
        only: Vec<String>,
    },
    /// Show allowed and denied traffic in a lab of network namespaces (root)
    Demo,
    /// Measure, and write the results to benches/results/ (root)
    Bench {
        /// Which; all where none is named
        #[arg(value_enum)]
        which: Vec<bench::Which>,
        /// Other builds of weir for `compare`, the oldest first
        #[arg(long, value_name = "BINARY")]
        beside: Vec<PathBuf>,
    },
    /// Fill a directory's store with records as the benchmark's, to try Weir with
    Fill {
        /// Where
        dir: PathBuf,
        /// How many
        #[arg(long, default_value_t = 10_000_000)]
        records: u64,
    },
    /// Have scanners and slow clients at a site over TLS (root)
    Scan {
        /// What for; everything where nothing is named
        #[arg(value_enum)]
        which: Vec<scan::Which>,
    },
    /// Look for input that breaks a reader of what comes from outside
    Fuzz(fuzz::Options),
    /// Format, lints, licences, structure, tests
    Ci,
    /// Serve the quick start's pages until the parent process is gone
    #[command(hide = true)]
    Backend,
    /// Run the tests of a plan, as the first process's only child
    #[command(hide = true)]
    Guest {
        /// Lines as `test --kernel` writes them
        plan: PathBuf,
    },
    /// Hold connections open until killed
    #[command(subcommand, hide = true)]
    Hold(bench::Hold),
}

fn main() -> ExitCode {
    match dispatch(Args::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    env::set_current_dir(root)?;
    match command {
        Command::Setup => setup::run(),
        Command::Build(options) => build::run(options),
        Command::Run(options) => run::run(options),
        Command::Test { kernel: None, .. } => return test::run(),
        Command::Test { kernel: Some(kernel), only } => return guest::run(kernel, &only),
        Command::Demo => demo::run(),
        Command::Bench { which, beside } => bench::run(&which, &beside),
        Command::Fill { dir, records } => bench::fill(&dir, records),
        Command::Scan { which } => return scan::run(&which),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Ci => return ci::run_all(),
        Command::Guest { plan } => return guest::within(&plan),
        Command::Backend => backend::run(),
        Command::Hold(end) => end.run(),
    }
    .map(|()| ExitCode::SUCCESS)
}
