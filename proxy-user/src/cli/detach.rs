//! `weir detach`

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::{OK, Place, args::Detach};
use crate::{config, datapath::Pins};

pub(super) fn run(place: &Place, options: &Detach) -> Result<u8> {
    if !options.force && place.client().is_answered() {
        bail!("a daemon runs and would lose its programs: stop it first, or use --force");
    }
    let bpffs = config::whereabouts(&place.config).bpffs;
    let bpffs = bpffs.unwrap_or_else(|| PathBuf::from("/sys/fs/bpf/weir"));
    let pins = Pins::locate(&bpffs)?;
    if !pins.exist() {
        println!("nothing of Weir's is pinned under {}", bpffs.display());
        return Ok(OK);
    }
    pins.remove()?;
    println!("everything of Weir's under {} is detached and removed", bpffs.display());
    Ok(OK)
}
