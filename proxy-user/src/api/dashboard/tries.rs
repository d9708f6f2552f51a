//! Wrong tokens, counted by where they come from.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Wrong tokens within a [`WINDOW`] that are answered.
const MOST: u32 = 10;
/// How long a wrong token counts, and how long who tried too often waits.
const WINDOW: Duration = Duration::from_mins(1);
/// Networks that are kept apart; beyond them all others are one.
const MOST_NETWORKS: usize = 1024;

/// Counts of wrong tokens.
#[derive(Debug, Default)]
pub(super) struct Tries(Mutex<HashMap<IpAddr, Counted>>);

#[derive(Clone, Copy, Debug)]
struct Counted {
    since: Instant,
    wrong: u32,
}

/// What a wrong token leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Others may follow.
    Again,
    /// It was the last for now.
    Last,
}

impl Tries {
    /// How long that client has to wait before it may try; `None`: not at all.
    pub(super) fn wait(&self, from: IpAddr) -> Option<Duration> {
        let counts = self.0.lock();
        let counted = counts.get(&place(&counts, from))?;
        let left = WINDOW.checked_sub(counted.since.elapsed())?;
        (counted.wrong >= MOST && !left.is_zero()).then_some(left)
    }

    /// Counts one.
    pub(super) fn wrong(&self, from: IpAddr) -> Wrong {
        let mut counts = self.0.lock();
        counts.retain(|_, counted| counted.since.elapsed() < WINDOW);
        let place = place(&counts, from);
        let fresh = Counted { since: Instant::now(), wrong: 0 };
        let counted = counts.entry(place).or_insert(fresh);
        counted.wrong = counted.wrong.saturating_add(1);
        if counted.wrong == MOST { Wrong::Last } else { Wrong::Again }
    }
}

/// An address of IPv4, a /64 of IPv6: what one client may have.
fn place(counts: &HashMap<IpAddr, Counted>, from: IpAddr) -> IpAddr {
    let network = match from {
        IpAddr::V4(_) => from,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    };
    let full = counts.len() >= MOST_NETWORKS && !counts.contains_key(&network);
    if full { Ipv6Addr::UNSPECIFIED.into() } else { network }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tries_too_often_waits_and_others_do_not() {
        let tries = Tries::default();
        let [one, other] = [IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])];
        for _ in 1..MOST {
            assert_eq!(tries.wrong(one), Wrong::Again);
            assert_eq!(tries.wait(one), None);
        }
        assert_eq!(tries.wrong(one), Wrong::Last);
        assert!(tries.wait(one).is_some_and(|wait| wait <= WINDOW));
        assert_eq!(tries.wait(other), None);
    }

    #[test]
    fn addresses_of_one_network_are_one_and_memory_is_bounded() {
        let tries = Tries::default();
        for host in 0..u32::from(u16::MAX) {
            tries.wrong(IpAddr::from(host.to_be_bytes()));
        }
        assert!(tries.0.lock().len() <= MOST_NETWORKS + 1);
        assert!(tries.wait(IpAddr::from([10, 0, 0, 1])).is_some());

        let tries = Tries::default();
        for host in 0..u16::try_from(MOST).unwrap_or_default() {
            tries.wrong(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]));
        }
        assert!(tries.wait(IpAddr::from([0x2001, 0xdb8, 0, 0, 9, 9, 9, 9])).is_some());
    }
}
