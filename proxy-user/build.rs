//! Puts the kernel programs into the binary.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=WEIR_EBPF_OBJECT");
    let Some(object) = env::var_os("WEIR_EBPF_OBJECT").map(PathBuf::from) else {
        println!("cargo::error=WEIR_EBPF_OBJECT is not set; `cargo xtask build` sets it");
        return;
    };
    println!("cargo::rerun-if-changed={}", object.display());
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        println!("cargo::error=OUT_DIR is not set: not run by cargo");
        return;
    };
    if let Err(error) = fs::copy(&object, out.join("weir.o")) {
        println!(
            "cargo::error=the kernel programs at {} cannot be read ({error}); `cargo xtask build` makes them",
            object.display()
        );
    }
}
