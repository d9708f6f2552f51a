//! Which target a client gets, and which others where that one fails.

use super::condition::Standing;
use crate::config::Balance;

/// A target, as far as its place in the order goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) standing: Standing,
    /// Open now.
    pub(super) sessions: u32,
    /// To the client, by [`proxy_common::balance::affinity`].
    pub(super) affinity: u64,
}

/// The candidates' places, best first: those that are up by `balance`, then the others
/// as a last resort, by `balance` too. `turn` counts the clients. One that is due is
/// first or with the others: it is for the client whom it would be given, were it up.
pub(super) fn order(balance: Balance, candidates: &[Candidate], turn: usize) -> Vec<usize> {
    let all = 0..candidates.len();
    let (mut hopeful, mut others): (Vec<_>, Vec<_>) =
        all.partition(|place| candidates[*place].standing != Standing::Down);
    rank(balance, candidates, turn, &mut hopeful);
    let is_up = |place: &usize| candidates[*place].standing == Standing::Up;
    let mut first = true;
    others.extend(hopeful.extract_if(.., |place| !std::mem::take(&mut first) && !is_up(place)));
    rank(balance, candidates, turn, &mut others);
    hopeful.append(&mut others);
    hopeful
}

fn rank(balance: Balance, candidates: &[Candidate], turn: usize, places: &mut [usize]) {
    places.sort_unstable();
    match balance {
        Balance::RoundRobin => rotate(places, turn),
        Balance::LeastConn => {
            let sessions = |place: &usize| candidates[*place].sessions;
            places.sort_by_key(sessions);
            let fewest = places.first().map(sessions);
            let ties = places.partition_point(|place| Some(sessions(place)) == fewest);
            rotate(&mut places[..ties], turn);
        }
        Balance::SourceHash => {
            places.sort_by_key(|place| std::cmp::Reverse(candidates[*place].affinity));
        }
    }
}

/// Each is the first in turn.
fn rotate(places: &mut [usize], turn: usize) {
    if !places.is_empty() {
        places.rotate_left(turn % places.len());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        net::{IpAddr, Ipv4Addr},
    };

    use super::*;

    fn affinity(target: u64, client: IpAddr) -> u64 {
        proxy_common::balance::affinity(target, &client.into())
    }

    const UP: Candidate = Candidate { standing: Standing::Up, sessions: 0, affinity: 0 };
    const DOWN: Candidate = Candidate { standing: Standing::Down, ..UP };
    const DUE: Candidate = Candidate { standing: Standing::Due, ..UP };

    fn firsts(balance: Balance, candidates: &[Candidate], turns: usize) -> Vec<usize> {
        (0..turns).map(|turn| order(balance, candidates, turn)[0]).collect()
    }

    #[test]
    fn each_in_turn_and_after_it_the_next() {
        assert_eq!(firsts(Balance::RoundRobin, &[UP; 3], 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(order(Balance::RoundRobin, &[UP; 3], 1), [1, 2, 0]);
    }

    /// Were it skipped, the target after it would get its clients as well as its own.
    #[test]
    fn what_is_down_comes_last_and_its_share_goes_to_all_others() {
        let one_down = [UP, DOWN, UP];
        assert_eq!(firsts(Balance::RoundRobin, &one_down, 4), [0, 2, 0, 2]);
        assert_eq!(order(Balance::RoundRobin, &one_down, 1), [2, 0, 1]);
        assert_eq!(order(Balance::RoundRobin, &[DOWN; 3], 2), [2, 0, 1]);
    }

    #[test]
    fn the_fewest_sessions_and_of_equals_each_in_turn() {
        let with = |sessions| Candidate { sessions, ..UP };
        assert_eq!(order(Balance::LeastConn, &[with(2), with(1), with(3)], 0), [1, 0, 2]);
        assert_eq!(firsts(Balance::LeastConn, &[with(1), with(3), with(1)], 4), [0, 2, 0, 2]);
        assert_eq!(order(Balance::LeastConn, &[with(2), DOWN, with(3)], 0), [0, 2, 1]);
    }

    #[test]
    fn what_is_due_is_for_the_client_whose_turn_it_is() {
        let one_due = [UP, DUE, UP];
        assert_eq!(order(Balance::RoundRobin, &one_due, 0), [0, 2, 1]);
        assert_eq!(order(Balance::RoundRobin, &one_due, 1), [1, 2, 0]);
        assert_eq!(order(Balance::RoundRobin, &[DUE, DUE], 1), [1, 0]);
    }

    fn homes(targets: &[u64]) -> BTreeMap<u32, u64> {
        let home = |client: u32| {
            let client = IpAddr::from(Ipv4Addr::from(0x0a00_0000 | client));
            targets.iter().copied().max_by_key(|target| affinity(*target, client))
        };
        (0..10_000).filter_map(|client| Some((client, home(client)?))).collect()
    }

    #[test]
    fn a_target_that_comes_or_goes_moves_nobody_elses_clients() {
        let three = homes(&[11, 22, 33]);
        let four = homes(&[11, 22, 33, 44]);
        let moved = three.iter().filter(|(client, home)| four[client] != **home);
        let moved: Vec<_> = moved.map(|(client, _)| four[client]).collect();
        assert!(moved.iter().all(|home| *home == 44), "only to the one that came");
        assert!((2_200..2_800).contains(&moved.len()), "{} of 10000 moved", moved.len());
        for target in [11, 22, 33] {
            let own = three.values().filter(|home| **home == target).count();
            assert!((3_000..3_700).contains(&own), "{own} of 10000 at one of three");
        }
    }

    #[test]
    fn families_and_neighbours_are_told_apart() {
        let weights = ["192.0.2.1", "192.0.2.2", "::1", "2001:db8::1", "2001:db8:0:1::1"]
            .map(|client| affinity(7, client.parse().expect("an address")));
        let distinct: std::collections::BTreeSet<_> = weights.into_iter().collect();
        assert_eq!(distinct.len(), weights.len());
    }
}
