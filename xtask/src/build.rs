//! `cargo xtask build`

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    process::{self, cargo, write_if_changed},
    setup, toolchain,
};

/// The kernel programs, where proxy-user's build script looks for them.
pub(crate) const OBJECT: &str = "target/ebpf/weir.o";

/// Builds the one binary; where it is.
pub(crate) fn release() -> Result<PathBuf> {
    kernel_programs()?;
    process::run(object_from_here(cargo().args(["build", "--release", "--package=proxy-user"])))?;
    Ok(PathBuf::from("target/release/weir"))
}

pub(crate) fn run() -> Result<()> {
    println!("built {}", release()?.display());
    Ok(())
}

/// Builds the kernel programs.
pub(crate) fn kernel_programs() -> Result<()> {
    let compiler = setup::for_build()?;
    copy(&toolchain::compile(compiler, "")?, OBJECT)
}

/// Puts an object where it is looked for.
pub(crate) fn copy(built: &Path, place: &str) -> Result<()> {
    let object = fs::read(built).with_context(|| built.display().to_string())?;
    write_if_changed(Path::new(place), &object)
}

/// An object that the environment names elsewhere is not the one that was built.
pub(crate) fn object_from_here(command: &mut std::process::Command) -> &mut std::process::Command {
    command.env_remove("WEIR_EBPF_OBJECT")
}
