//! What builds the kernel programs: a nightly toolchain of rustup's with the sources
//! of core, or Debian's compiler with its ready core for BPF.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::process::{cargo, find, is_root, output, run, succeeds};

const LINKER_VERSION: &str = "0.10.3";
const TOOLS: &str = "target/tools";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];
const TARGET: &str = "bpfel-unknown-none";

/// A compiler for BPF.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compiler {
    /// Debian's, beside rustup's.
    Debian,
    /// rustup's nightly with `rust-src`.
    Nightly,
}

impl Compiler {
    fn is_there(self) -> bool {
        match self {
            Self::Debian => {
                succeeds(Command::new(DEBIAN_RUSTC).args([
                    "--print=target-libdir",
                    "--target",
                    TARGET,
                ])) && debian_core().is_some_and(|dir| dir.is_dir())
            }
            Self::Nightly => nightly_core().is_some_and(|dir| dir.is_dir()),
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Debian => "Debian's rustc-web with libstd-rust-web-dev-bpf",
            Self::Nightly => "rustup's nightly with rust-src",
        }
    }
}

fn debian_core() -> Option<PathBuf> {
    let mut command = Command::new(DEBIAN_RUSTC);
    let printed = output(command.args(["--print=target-libdir", "--target", TARGET]));
    printed.ok().map(PathBuf::from)
}

fn nightly_core() -> Option<PathBuf> {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "rustc", "--print=sysroot"]);
    if !succeeds(&mut command) {
        return None;
    }
    let sysroot = output(&mut command).ok()?;
    Some(Path::new(&sysroot).join("lib/rustlib/src/rust/library/core"))
}

/// The compiler to use, installed where there is none.
pub(crate) fn compiler() -> Result<Compiler> {
    let both = [Compiler::Debian, Compiler::Nightly];
    if let Some(found) = both.into_iter().find(|compiler| compiler.is_there()) {
        return Ok(found);
    }
    if is_root() && find("apt-get").is_some() {
        println!("setup: installing a compiler for BPF: {}", DEBIAN_PACKAGES.join(" "));
        if install_packages(&DEBIAN_PACKAGES).is_ok() && Compiler::Debian.is_there() {
            return Ok(Compiler::Debian);
        }
    }
    println!("setup: installing rustup's nightly with rust-src");
    let mut rustup = Command::new("rustup");
    rustup.args(["toolchain", "install", "nightly", "--profile=minimal", "--component=rust-src"]);
    run(&mut rustup)?;
    if Compiler::Nightly.is_there() {
        return Ok(Compiler::Nightly);
    }
    bail!(
        "no compiler for BPF: neither {} nor {} can be had",
        Compiler::Debian.describe(),
        Compiler::Nightly.describe()
    )
}

/// A component of rustup's stable toolchain, installed where it is missing.
pub(crate) fn component(name: &str) -> Result<()> {
    let subcommand = name.trim_start_matches("rust");
    if succeeds(cargo().args([subcommand, "--version"])) {
        return Ok(());
    }
    println!("setup: installing {name}");
    run(Command::new("rustup").args(["component", "add", name]))
}

/// Installs Debian packages.
pub(crate) fn install_packages(packages: &[&str]) -> Result<()> {
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let install = || {
        let mut command = apt();
        command.args(["install", "--yes", "--quiet=2", "--no-install-recommends"]).args(packages);
        command
    };
    // The lists may be older than the archive, or not there at all.
    if succeeds(&mut install()) {
        return Ok(());
    }
    run(apt().args(["update", "--quiet=2"]))?;
    run(&mut install())
}

/// bpf-linker, built where there is none.
pub(crate) fn linker() -> Result<()> {
    if Path::new(TOOLS).join("bin/bpf-linker").is_file() {
        return Ok(());
    }
    println!(
        "setup: building bpf-linker {LINKER_VERSION} into {TOOLS}; this takes a minute or two"
    );
    let mut command = cargo();
    command.args(["install", "--quiet", "--locked", "--root", TOOLS]);
    // It works for a second: what is optimised less and told less of is built sooner.
    command.envs([("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"), ("CARGO_PROFILE_RELEASE_DEBUG", "0")]);
    run(command.arg(format!("bpf-linker@{LINKER_VERSION}")))
}

/// Compiles the kernel programs with these features; gives the object's path.
pub(crate) fn compile(compiler: Compiler, features: &str) -> Result<PathBuf> {
    let own = if features.is_empty() { String::new() } else { format!("-{features}") };
    let directory = format!("target/ebpf-build{own}");
    let mut command = match compiler {
        Compiler::Debian => {
            let mut command = cargo();
            command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            command
        }
        Compiler::Nightly => {
            let mut command = Command::new("rustup");
            command.args(["run", "nightly", "cargo"]).env_remove("RUSTC").env_remove("CARGO");
            command
        }
    };
    // BTF, and atomics that give a result.
    let flags = ["-Cdebuginfo=2", "-Clink-arg=--btf", "-Ctarget-cpu=v3"].join("\x1f");
    command
        .args(["build", "--quiet", "--release", "--package=proxy-ebpf", "--target", TARGET])
        .args(["--target-dir", &directory, "--features", features])
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("PATH", path_with_tools()?)
        .env("LD_LIBRARY_PATH", stable_libraries()?)
        .env_remove("CARGO_TARGET_DIR");
    if matches!(compiler, Compiler::Nightly) {
        command.arg("-Zbuild-std=core");
    }
    run(&mut command)?;
    Ok(Path::new(&directory).join(TARGET).join("release/weir-ebpf"))
}

fn path_with_tools() -> Result<OsString> {
    let tools = env::current_dir()?.join(TOOLS).join("bin");
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(std::iter::once(tools).chain(env::split_paths(&path))).context("PATH")
}

/// bpf-linker loads LLVM from the toolchain that built it.
fn stable_libraries() -> Result<PathBuf> {
    let sysroot = output(Command::new("rustc").arg("--print=sysroot"))?;
    Ok(Path::new(&sysroot).join("lib"))
}
