//! Which `weir` is under test.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// `WEIR_BINARY`, else the one built beside this program, else the workspace's.
pub fn find() -> Result<PathBuf> {
    if let Some(named) = env::var_os("WEIR_BINARY") {
        let path = PathBuf::from(named);
        return path.canonicalize().with_context(|| format!("WEIR_BINARY={}", path.display()));
    }
    // Tests run from target/PROFILE/deps, xtask from target/PROFILE.
    let own = env::current_exe()?;
    let beside = own.ancestors().skip(1).take(2).map(|directory| directory.join("weir"));
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let built = ["release", "debug"].map(|profile| target.join(profile).join("weir"));
    let found = beside.chain(built).find(|path| path.is_file());
    found.context("there is no weir to test: `cargo xtask build`, or name one by WEIR_BINARY")
}
