//! The command line: one file for each command.

// Both panic where nobody reads; `out` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod check;
mod client;
mod detach;
mod events;
mod explain;
mod flows;
mod hash;
mod network;
mod out;
mod reload;
mod run;
mod session;
mod ssh;
mod status;
mod store;
mod table;
mod token;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::Parser;

use args::{Args, Command};
use client::Client;
use out::{Unread, tell};

use crate::config::{self, Faults, Loaded};

/// Success.
const OK: u8 = 0;
/// A failure at run time.
const FAILED: u8 = 1;
/// A usage or configuration error.
const WRONG: u8 = 2;
/// `weir explain`: denied.
const DENIED: u8 = 3;

/// What was asked for cannot be: a mistake of whoever asked, not a failure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Wrong(String);

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let code = dispatch(Args::parse()).unwrap_or_else(|error| {
        if error.is::<Unread>() {
            OK
        } else if error.is::<Wrong>() || error.is::<Faults>() {
            tell(error);
            WRONG
        } else {
            tell(format_args!("weir: {error:#}"));
            FAILED
        }
    });
    ExitCode::from(code)
}

fn dispatch(args: Args) -> Result<u8> {
    let place = Place { config: args.config, socket: args.socket };
    match args.command {
        Command::Run(options) => run::run(&place, &options),
        Command::Check => check::run(&place),
        Command::Explain(options) => explain::run(&place, &options),
        Command::Events(options) => events::run(&place, &options),
        Command::Flows(options) => flows::run(&place, &options),
        Command::Status(options) => status::run(&place, &options),
        Command::Token { command } => token::run(&place, &command),
        Command::Session { command } => session::run(&place, &command),
        Command::Hash(options) => hash::run(&options),
        Command::Reload(options) => reload::run(&place, &options),
        Command::Store { command } => store::run(&place, command),
        Command::Detach(options) => detach::run(&place, &options),
    }
}

/// Where the daemon's configuration and its socket are.
struct Place {
    config: PathBuf,
    socket: Option<PathBuf>,
}

impl Place {
    /// Reads the configuration. Its faults are the error, one a line.
    fn load(&self) -> Result<Loaded> {
        Ok(config::load(&self.config)?)
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
