//! The host's network, for commands that judge without the daemon.

use super::{client::runtime, out::tell};
use crate::datapath::{Network, follow};

/// As it is now; nothing, which is told, where it cannot be read.
pub(super) fn now() -> Network {
    let read = runtime().and_then(|runtime| Ok(runtime.block_on(follow())?.borrow().clone()));
    read.unwrap_or_else(|error| {
        tell(format_args!(
            "the network cannot be read ({error:#}): gateways and own addresses are not known"
        ));
        Network::default()
    })
}
