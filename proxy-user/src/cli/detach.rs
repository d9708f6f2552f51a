//! `weir detach`

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::{OK, Place, args::Detach, out::say};
use crate::{config, datapath::Pins};

pub(super) fn run(place: &Place, options: &Detach) -> Result<u8> {
    if !options.force && place.client().finds_daemon()? {
        bail!("a daemon runs and would lose its programs: stop it first, or use --force");
    }
    let bpffs = config::whereabouts(&place.config).bpffs;
    let bpffs = bpffs.unwrap_or_else(|| PathBuf::from("/sys/fs/bpf/weir"));
    let pins = Pins::locate(&bpffs)?;
    if !pins.exist() {
        say(format_args!("nothing of Weir's is pinned under {}", bpffs.display()))?;
        return Ok(OK);
    }
    pins.remove()?;
    say(format_args!("everything of Weir's under {} is detached and removed", bpffs.display()))?;
    Ok(OK)
}
