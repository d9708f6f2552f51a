//! `weir detach`

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{OK, Place, args::Detach, out::say};
use crate::{config, datapath::Pins};

pub(super) fn run(place: &Place, options: &Detach) -> Result<u8> {
    let bpffs = config::whereabouts(&place.config).bpffs;
    let bpffs = bpffs.unwrap_or_else(|| PathBuf::from("/sys/fs/bpf/weir"));
    let pins = Pins::locate(&bpffs)?;
    let claim = if options.force { None } else { pins.claim().context(IN_USE)? };
    let removed = pins.remove()?;
    drop(claim);
    if removed {
        say(format_args!(
            "everything of Weir's under {} is detached and removed",
            bpffs.display()
        ))?;
    } else {
        say(format_args!("nothing of Weir's is pinned under {}", bpffs.display()))?;
    }
    Ok(OK)
}

const IN_USE: &str = "a daemon would lose its programs: stop it first, or use --force";
