//! The files that the daemon opens beside the relay's, and what they leave it.

use crate::{
    api,
    config::{Config, ListenAddress},
    relay::{self, Limits},
    store,
};

/// Held all the time, as counted at rest without services: 16 maps, 6 programs and
/// their types, 10 sockets, 4 of the runtime, 4 books of the store, 4 of standard input
/// and output.
const BASE: u64 = 45;
/// For a moment: configuration, database and its download, names that are looked up,
/// connections that are turned away, and what a reload adds.
const SPARE: u64 = 32;
/// A sink's file, and its position.
const PER_SINK: u64 = 2;
/// Of a thread of the relay's: its poller, and what wakes it.
const PER_WORKER: u64 = 3;

/// What the relay may hold at a time where `files` may be open.
pub fn relay_limits(config: &Config, files: u64) -> Limits {
    // Where the rest could take everything, the relay gets its half.
    Limits::within(files, own(config).min(files / 2))
}

/// At most so many files are not the relay's sessions and pipes.
fn own(config: &Config) -> u64 {
    let listeners = config.services.iter().filter(|service| !service.is_guard());
    let sockets = listeners.flat_map(|service| &service.listen);
    // Every address: a socket for each family.
    let sockets = sockets.map(|l| if l.address == ListenAddress::Any { 2 } else { 1 });
    BASE + SPARE
        // A connection, and the file of records that it is answered from.
        + 2 * api::MOST_CONNECTIONS as u64
        + relay::workers() as u64 * PER_WORKER
        + sockets.sum::<u64>()
        + config.sinks.len() as u64 * PER_SINK
        + store::MOST_FILES as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    const RELAYED: &str = "[service.a]\nmode = \"tcp\"\nlisten = [1, \"127.0.0.1:2\"]\n\
                           target = \"192.0.2.1:1\"\n";

    #[test]
    fn most_files_are_for_sessions() {
        let Limits { sessions, .. } = relay_limits(&config(RELAYED), 20_000);
        assert!((9_700..10_000).contains(&sessions), "{sessions}");
    }

    #[test]
    fn what_the_daemon_itself_opens_is_left_to_it() {
        let more = |text: &str| own(&config(text)) - own(&config(""));
        assert_eq!(more(RELAYED), 3, "every address is a socket for each family");
    }
}
