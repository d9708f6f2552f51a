//! Puts the kernel programs into the binary.

use std::{env, fs, path::PathBuf};

fn main() {
    let (variable, command) = if env::var_os("CARGO_FEATURE_LOG").is_some() {
        ("WEIR_EBPF_LOG_OBJECT", "cargo xtask build --log")
    } else {
        ("WEIR_EBPF_OBJECT", "cargo xtask build")
    };
    println!("cargo::rerun-if-env-changed={variable}");
    let Some(object) = env::var_os(variable).map(PathBuf::from) else {
        println!("cargo::error={variable} is not set; `{command}` sets it");
        return;
    };
    println!("cargo::rerun-if-changed={}", object.display());
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        println!("cargo::error=OUT_DIR is not set: not run by cargo");
        return;
    };
    if let Err(error) = fs::copy(&object, out.join("weir.o")) {
        println!(
            "cargo::error=the kernel programs at {} cannot be read ({error}); `{command}` makes \
             them",
            object.display()
        );
    }
}
