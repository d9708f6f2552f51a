//! A generation comes in force whole, or not at all.

use aya::maps::{HashMap, Map, MapData};
use proxy_common::{
    address::{Family, PROTOCOL_TCP},
    tables::Listener,
};
use proxy_user::{
    datapath::TcAttachment,
    policy::{CidrFlags, Rules},
};
use weir_tests::{client::Refusal, ns::run};

use crate::{
    harness::{Result, generation},
    host::{ALLOWED, BLOCKED, Host},
};

fn deny(cidr: &str) -> Result<proxy_user::datapath::Generation> {
    generation(&Rules::OPEN, &[(cidr, CidrFlags::BLOCKED)])
}

/// After the switch nothing can fail: the daemon would tell that nothing has changed.
#[test]
fn old_entries_that_cannot_be_removed_do_not_fail_the_new_generation() -> Result {
    let host = Host::new()?;
    let mut daemon = host.start(TcAttachment::probe())?;
    let first = daemon.maps.tables.generation();
    // From now on no ranges of IPv4 can be written or removed.
    let frozen = daemon.pins.maps().join("classes4");
    run(std::process::Command::new("bpftool").args(["map", "freeze", "pinned"]).arg(frozen))?;

    daemon.maps.tables.install(&deny("2001:db8::/32")?)?;
    assert_eq!(daemon.maps.tables.generation(), first + 1);
    assert_eq!(host.fate(BLOCKED)?, None);

    // What is left is tried again first, and what is in force stays.
    assert!(daemon.maps.tables.install(&deny("192.0.2.2/32")?).is_err());
    assert_eq!(daemon.maps.tables.generation(), first + 1);
    assert_eq!(host.fate(ALLOWED)?, None);
    Ok(())
}

#[test]
fn what_a_crash_before_the_switch_left_serves_nobody() -> Result {
    let host = Host::new()?;
    let daemon = host.start(TcAttachment::probe())?;
    let next = daemon.maps.tables.generation() + 1;
    let path = daemon.pins.maps().join("listeners");
    drop(daemon);
    // A `ListenerKey` of port 2222, any IPv4 address, and a `Listener` of the first service.
    let mut key = [0; 24];
    key[..4].copy_from_slice(&next.to_ne_bytes());
    key[4..6].copy_from_slice(&2222u16.to_ne_bytes());
    key[6..8].copy_from_slice(&[PROTOCOL_TCP, Family::V4 as u8]);
    let mut listener = [0; 8];
    listener[..2].copy_from_slice(&Listener::SERVES.to_ne_bytes());
    let mut listeners: HashMap<_, [u8; 24], [u8; 8]> =
        HashMap::try_from(Map::HashMap(MapData::from_pin(&path)?))?;
    listeners.insert(key, listener, 0)?;
    assert!(listeners.get(&key, 0).is_ok());

    let daemon = host.start(TcAttachment::probe())?;
    assert_eq!(daemon.maps.tables.generation(), next);
    assert!(listeners.get(&key, 0).is_err());
    assert_eq!(host.fate(BLOCKED)?, Some(Refusal::Silence));
    Ok(())
}
