//! `weir run`

use std::{io::IsTerminal, path::absolute};

use anyhow::Result;
use tracing_subscriber::EnvFilter;

use super::{
    OK, Place,
    args::{LogFormat, Run},
};
use crate::daemon;

/// The netlink library warns of attributes that only newer kernels know, that of TLS of
/// what clients do, which are records. Kernel programs that log were asked for when this
/// was built.
const FILTER: &str = if cfg!(feature = "log") {
    "info,weir_ebpf=debug,netlink_packet_route=error,rustls=error"
} else {
    "info,netlink_packet_route=error,rustls=error"
};

pub(super) fn run(place: &Place, options: &Run) -> Result<u8> {
    log_to_stderr(options.log_format);
    let loaded = place.load()?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    // A reload must find the file wherever the daemon stands by then.
    daemon::run(&absolute(&place.config)?, loaded)?;
    Ok(OK)
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
