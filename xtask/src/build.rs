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

/// What is built.
#[derive(clap::Args, Clone, Copy, Default)]
pub(crate) struct Options {
    /// With kernel programs that log what becomes of each packet
    #[arg(long)]
    pub(crate) log: bool,
}

impl Options {
    /// Features of proxy-ebpf and proxy-user alike.
    fn features(self) -> &'static str {
        if self.log { "log" } else { "" }
    }

    /// The kernel programs, where proxy-user's build script looks for them.
    fn object(self) -> &'static str {
        if self.log { "target/ebpf/weir-log.o" } else { "target/ebpf/weir.o" }
    }
}

/// Builds the one binary; where it is.
pub(crate) fn release(options: Options) -> Result<PathBuf> {
    kernel_programs(options)?;
    let mut build = cargo();
    build.args(["build", "--release", "--package=proxy-user", "--features", options.features()]);
    process::run(object_from_here(&mut build))?;
    Ok(PathBuf::from("target/release/weir"))
}

pub(crate) fn run(options: Options) -> Result<()> {
    println!("built {}", release(options)?.display());
    Ok(())
}

/// Builds the kernel programs.
pub(crate) fn kernel_programs(options: Options) -> Result<()> {
    let compiler = setup::for_build()?;
    copy(&toolchain::compile(compiler, options.features())?, options.object())
}

/// Puts an object where it is looked for.
pub(crate) fn copy(built: &Path, place: &str) -> Result<()> {
    let object = fs::read(built).with_context(|| built.display().to_string())?;
    write_if_changed(Path::new(place), &object)
}

/// An object that the environment names elsewhere is not the one that was built.
pub(crate) fn object_from_here(command: &mut std::process::Command) -> &mut std::process::Command {
    command.env_remove("WEIR_EBPF_OBJECT").env_remove("WEIR_EBPF_LOG_OBJECT")
}
