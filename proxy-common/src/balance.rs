//! Which target a client of the kernel plane gets, and from which port it is reached.
#![allow(
    clippy::cast_possible_truncation,
    reason = "places among a few targets, and ports: each is below what its type holds"
)]

use crate::{
    address::Address,
    nat::{Backends, Balance, MAX_TARGETS, TargetSlot},
};

/// What decides a client's target besides its condition: what a choice looks up.
pub trait Sessions {
    /// Sessions that a target has now.
    fn of(&self, slot: TargetSlot) -> u64;

    /// The same value, of which a verifier that follows each way through a loop knows
    /// nothing any more: else it would go through every combination of them.
    fn forget(&self, value: u64) -> u64;
}

/// The place among `backends` of the target for a client: `turn` counts the service's
/// clients. `None`: there is no target.
#[inline(always)]
pub fn choose<S: Sessions>(
    backends: &Backends,
    sessions: &S,
    client: &Address,
    turn: u64,
) -> Option<usize> {
    let count = u64::from(backends.count).min(MAX_TARGETS as u64);
    let first = sessions.forget(turn.checked_rem(count)?);
    if backends.balance == Balance::RoundRobin as u32 {
        return Some(first as usize);
    }
    // Of equals each in turn: the round begins with the one whose turn it is.
    let (mut place, mut left) = (first, count);
    let (mut best, mut weight) = (first, u64::MAX);
    for _ in 0..MAX_TARGETS {
        if left == 0 {
            break;
        }
        let Some(target) = backends.targets.get(place as usize) else { break };
        let its = if backends.balance == Balance::LeastConn as u32 {
            sessions.of(target.slot)
        } else {
            !affinity(target.number, client)
        };
        if its < weight {
            (best, weight) = (place, its);
        }
        place = if place + 1 < u64::from(backends.count) { place + 1 } else { 0 };
        (place, left) = (sessions.forget(place), sessions.forget(left - 1));
        (best, weight) = (sessions.forget(best), sessions.forget(weight));
    }
    Some(best as usize)
}

/// A target's weight for a client: each client prefers the target where it is highest
/// (rendezvous hashing: Thaler and Ravishankar, IEEE/ACM Transactions on Networking 6,
/// 1998). A target that comes takes clients from all others evenly, one that goes leaves
/// its own to all others evenly, and nobody else is moved.
#[inline(always)]
pub const fn affinity(target: u64, client: &Address) -> u64 {
    let [high, low] = client.words();
    mix(mix(target ^ u64::from_be(low)) ^ u64::from_be(high))
}

/// The last step of `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014): every bit of the
/// input changes every bit of the output with a probability of about a half.
#[inline(always)]
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Ports from which targets are reached, and how many addresses of this host there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Lowest port.
    pub first: u16,
    /// Highest port.
    pub last: u16,
    /// Addresses; 1 at least.
    pub sources: u32,
}

impl Range {
    /// The `turn`-th source port, and which of the addresses it is of. In this order the port
    /// that was taken longest ago is the next.
    #[inline(always)]
    pub const fn at(&self, turn: u64) -> (u16, u32) {
        let ports = self.last.saturating_sub(self.first) as u64 + 1;
        let sources = if self.sources == 0 { 1 } else { self.sources as u64 };
        // Not `%`: that has a panic, which no kernel program may have.
        let place = match turn.checked_rem(ports * sources) {
            Some(place) => place,
            None => 0,
        };
        ((self.first as u64 + place % ports) as u16, (place / ports) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sessions by slot.
    struct Open([u64; 3]);

    impl Sessions for Open {
        fn of(&self, slot: TargetSlot) -> u64 {
            self.0[usize::from(slot)]
        }

        fn forget(&self, value: u64) -> u64 {
            value
        }
    }

    const NOBODY: Open = Open([0; 3]);

    fn backends(balance: Balance, count: u32) -> Backends {
        let mut backends = Backends { balance: balance as u32, count, ..Backends::EMPTY };
        for (slot, target) in (0..).zip(&mut backends.targets) {
            target.slot = slot;
            target.number = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::from(slot) + 1);
        }
        backends
    }

    fn client(last: u8) -> Address {
        Address::v4([192, 0, 2, last])
    }

    #[test]
    fn each_has_its_turn() {
        let three = backends(Balance::RoundRobin, 3);
        let chosen = [0, 1, 2, 3, 4].map(|turn| choose(&three, &NOBODY, &client(1), turn));
        assert_eq!(chosen, [Some(0), Some(1), Some(2), Some(0), Some(1)]);
        for balance in [Balance::RoundRobin, Balance::LeastConn, Balance::SourceHash] {
            assert_eq!(choose(&backends(balance, 0), &NOBODY, &client(1), 7), None);
            assert_eq!(choose(&backends(balance, 1), &NOBODY, &client(1), 7), Some(0));
        }
    }

    #[test]
    fn the_fewest_sessions_win_and_equals_have_their_turn() {
        let three = backends(Balance::LeastConn, 3);
        let chosen = |open, turn| choose(&three, &Open(open), &client(1), turn);
        assert_eq!(chosen([2, 1, 3], 0), Some(1));
        assert_eq!([0, 1, 2, 3].map(|turn| chosen([1, 2, 1], turn)), [0, 2, 2, 0].map(Some));
    }

    /// As the relay chooses: the same weights, the highest first.
    #[test]
    fn a_client_keeps_its_target() {
        let three = backends(Balance::SourceHash, 3);
        for last in 0..=255 {
            let client = client(last);
            let best = (0..3).max_by_key(|place| affinity(three.targets[*place].number, &client));
            for turn in 0..3 {
                assert_eq!(choose(&three, &NOBODY, &client, turn), best, "{client:?}");
            }
        }
    }

    #[test]
    fn ports_come_in_turn_at_each_address() {
        let range = Range { first: 65_534, last: 65_535, sources: 2 };
        let taken = [0, 1, 2, 3, 4].map(|turn| range.at(turn));
        assert_eq!(taken, [(65_534, 0), (65_535, 0), (65_534, 1), (65_535, 1), (65_534, 0)]);
        assert_eq!(Range { first: 7, last: 7, sources: 0 }.at(u64::MAX), (7, 0));
    }
}
