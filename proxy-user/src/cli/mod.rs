//! The command line: one file for each command.

mod args;
mod check;
mod client;
mod detach;
mod events;
mod explain;
mod flows;
mod hash;
mod reload;
mod run;
mod status;
mod store;
mod table;
mod token;

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::Parser;

use args::{Args, Command};
use client::Client;

use crate::config::{self, Loaded};

/// Success.
const OK: u8 = 0;
/// A failure at run time.
const FAILED: u8 = 1;
/// A usage or configuration error.
const WRONG: u8 = 2;
/// `weir explain`: denied.
const DENIED: u8 = 3;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match dispatch(Args::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::from(OK),
        Err(error) => {
            eprintln!("weir: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn dispatch(args: Args) -> Result<u8> {
    let place = Place { config: args.config, socket: args.socket };
    match args.command {
        Command::Run(options) => run::run(&place, &options),
        Command::Check => Ok(check::run(&place)),
        Command::Explain(options) => explain::run(&place, &options),
        Command::Events(options) => events::run(&place, &options),
        Command::Flows(options) => flows::run(&place, &options),
        Command::Status(options) => status::run(&place, &options),
        Command::Token { command } => token::run(&place, &command),
        Command::Hash(options) => hash::run(&options),
        Command::Reload(options) => reload::run(&place, &options),
        Command::Store { command } => store::run(&place, command),
        Command::Detach(options) => detach::run(&place, &options),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Where the daemon's configuration and its socket are.
struct Place {
    config: PathBuf,
    socket: Option<PathBuf>,
}

impl Place {
    /// Reads the configuration; faults are told on stderr, one a line.
    fn load(&self) -> Option<Loaded> {
        match config::load(&self.config) {
            Ok(loaded) => Some(loaded),
            Err(faults) => {
                eprintln!("{faults}");
                None
            }
        }
    }

    /// The control socket: as given, or as the configuration says where it can be
    /// read.
    fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| {
            let runtime_dir = config::whereabouts(&self.config).runtime_dir;
            runtime_dir.as_deref().unwrap_or(Path::new("/run/weir")).join("weir.sock")
        })
    }

    fn client(&self) -> Client {
        Client::new(self.socket())
    }
}
