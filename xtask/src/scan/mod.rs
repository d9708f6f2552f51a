//! `cargo xtask scan`: what a scanner finds in Weir's TLS, and whether slow clients keep
//! it from serving others.

mod slow;
mod testssl;
mod web;

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::ValueEnum;

use self::slow::Attack;
use crate::{
    build::{Options, release},
    process::is_root,
    setup,
};

/// What can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// testssl.sh: nothing above LOW
    Tls,
    /// A thousand heads that do not end
    Headers,
    /// A thousand bodies that do not end
    Body,
    /// A thousand clients that hardly read
    Reading,
}

/// What one of them showed.
struct Verdict {
    text: String,
    is_good: bool,
}

pub(crate) fn run(which: &[Which]) -> Result<ExitCode> {
    if !is_root() {
        bail!("namespaces need root: sudo -E cargo xtask scan");
    }
    setup::for_scans()?;
    let binary = match env::var_os("WEIR_BINARY") {
        Some(named) => PathBuf::from(named),
        None => release(Options::default())?,
    };
    let binary = binary.canonicalize()?;
    let mut all_good = true;
    for one in Which::value_variants() {
        if !which.is_empty() && !which.contains(one) {
            continue;
        }
        let verdicts = web::with(&binary, |web| match one {
            Which::Tls => testssl::scan(web),
            Which::Headers => slow::attack(web, Attack::Headers),
            Which::Body => slow::attack(web, Attack::Body),
            Which::Reading => slow::attack(web, Attack::Reading),
        })?;
        for Verdict { text, is_good } in verdicts {
            println!("{} {text}", if is_good { "ok    " } else { "FAILED" });
            all_good &= is_good;
        }
    }
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
