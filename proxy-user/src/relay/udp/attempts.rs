//! Telling apart those whom no session was opened for.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use proxy_common::{
    address::FlowKey,
    attempt::{SLOTS, is_repeat, mark},
};

/// Attempts of which each is told once (SPEC 5): a table as the kernel's.
pub(super) struct Attempts {
    hash_key: [u64; 2],
    since: Instant,
    /// There from the first attempt on.
    slots: OnceLock<Box<[AtomicU64]>>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        let mut hash_key = [[0; 8]; 2];
        for half in &mut hash_key {
            // It fails only before the host has gathered any randomness.
            let _ = rustix::rand::getrandom(half, rustix::rand::GetRandomFlags::NONBLOCK);
        }
        let hash_key = hash_key.map(u64::from_ne_bytes);
        Self { hash_key, since: Instant::now(), slots: OnceLock::new() }
    }

    /// Notes a datagram of one who is turned away. False: so was one of the same ends a
    /// short while ago.
    pub(super) fn is_new(&self, flow: &FlowKey, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        let mark = mark(&self.hash_key, flow, 0, seconds);
        let slots = self.slots.get_or_init(|| (0..SLOTS).map(|_| AtomicU64::new(0)).collect());
        let slot = slots.get(mark.slot as usize);
        slot.is_none_or(|slot| !is_repeat(mark, slot.swap(mark.word, Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use proxy_common::address::PROTOCOL_UDP;

    use super::*;

    #[test]
    fn an_attempt_is_new_once_and_after_a_silence() {
        let attempts = Attempts::new();
        let client = std::net::IpAddr::from(Ipv4Addr::LOCALHOST).into();
        let key = |client_port| FlowKey {
            client,
            service: client,
            client_port,
            service_port: 53,
            protocol: PROTOCOL_UDP.into(),
        };
        let at = |seconds| attempts.since + Duration::from_secs(seconds);
        assert!(attempts.is_new(&key(1), at(0)));
        assert!(!attempts.is_new(&key(1), at(100)));
        assert!(!attempts.is_new(&key(1), at(219)));
        assert!(attempts.is_new(&key(2), at(219)));
        assert!(attempts.is_new(&key(1), at(339)));
    }
}
