//! `cargo xtask scan`: what a scanner finds in Weir's TLS, and whether slow clients keep
//! it from serving others.

mod slow;
mod testssl;
mod web;

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};

use self::{slow::Attack, web::Web};
use crate::{
    build::{Options, release},
    process::is_root,
    setup,
};

/// What one of the scans found.
struct Verdict {
    text: String,
    is_good: bool,
}

pub(crate) fn run() -> Result<ExitCode> {
    if !is_root() {
        bail!("namespaces need root: sudo -E cargo xtask scan");
    }
    setup::for_scans()?;
    let binary = match env::var_os("WEIR_BINARY") {
        Some(named) => PathBuf::from(named),
        None => release(Options::default())?,
    };
    let binary = binary.canonicalize()?;
    let mut verdicts = web::with(&binary, testssl::scan)?;
    for attack in Attack::ALL {
        verdicts.push(web::with(&binary, |web: &Web<'_>| slow::attack(web, attack))?);
    }
    for Verdict { text, is_good } in &verdicts {
        println!("{} {text}", if *is_good { "ok    " } else { "FAILED" });
    }
    let all = verdicts.iter().all(|verdict| verdict.is_good);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
