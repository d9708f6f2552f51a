//! The targets of a service.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{runtime::Handle, time::Instant};

use super::{
    condition::Standing,
    member::{Member, number},
    order::{Candidate, order},
    seat::Seat,
};
use crate::{
    config::{Balance, Target, Targets},
    record::Timestamp,
    relay::{
        connect::{Failed, share},
        contract::{Examination, Lookout},
    },
};

/// How a target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetState {
    /// It, as configured.
    pub target: Target,
    /// Since when it is up or down; it is taken to be up before anything is known.
    pub since: Timestamp,
    /// Sessions now.
    pub sessions: u32,
    /// Why it is down; `None` where it is up.
    pub error: Option<String>,
}

/// Where a target is, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPlace {
    /// It, as configured.
    pub target: Target,
    /// Its addresses, the one that is used first.
    pub addresses: Vec<SocketAddr>,
    /// What [`proxy_common::balance::affinity`] knows it by.
    pub number: u64,
    /// Whether nothing is known against it.
    pub is_up: bool,
}

impl TargetPlace {
    /// A target of which only the configuration tells.
    pub fn unknown(target: &Target) -> Self {
        let addresses = match target {
            Target::Address(address) => vec![*address],
            Target::Name { .. } => Vec::new(),
        };
        Self { target: target.clone(), addresses, number: number(target), is_up: true }
    }
}

/// What a published service, or a route of it, has behind it. It outlives reloads, and so
/// do the targets that they keep, with all that is known of them.
pub(crate) struct Pool {
    service: Arc<str>,
    set: ArcSwap<Set>,
    /// Counts the clients.
    turn: AtomicUsize,
    lookout: Arc<dyn Lookout>,
    /// Where names are resolved and targets looked at.
    runtime: Handle,
}

/// The targets in force.
struct Set {
    members: Vec<Arc<Member>>,
    balance: Balance,
    /// Whether targets are looked at, so that no client need try one that is down.
    watched: bool,
}

/// Where a session of datagrams goes.
pub(in crate::relay) struct Choice {
    pub(in crate::relay) address: SocketAddr,
    pub(in crate::relay) seat: Seat,
}

impl Pool {
    /// Of the service of that name; empty.
    pub(in crate::relay) fn new(service: &str, lookout: Arc<dyn Lookout>, runtime: Handle) -> Self {
        let none = Set { members: Vec::new(), balance: Balance::RoundRobin, watched: false };
        let set = ArcSwap::from_pointee(none);
        Self { service: service.into(), set, turn: AtomicUsize::new(0), lookout, runtime }
    }

    /// Puts other targets in force. Sessions of those that go are none of its business.
    /// `examine`: how each is looked at besides connecting to it.
    pub(in crate::relay) fn update(
        &self,
        targets: &Targets,
        examine: impl Fn(&Target) -> Option<Examination>,
    ) {
        let set = Arc::new(self.set_of(targets));
        for member in &set.members {
            let look = targets.health.map(|health| (health, examine(member.target())));
            member.watch(look, &self.runtime);
        }
        let old = self.set.swap(set);
        let goes = |member: &&Arc<Member>| !targets.list.contains(member.target());
        for member in old.members.iter().filter(goes) {
            member.watch(None, &self.runtime);
        }
    }

    fn set_of(&self, Targets { list, balance, health }: &Targets) -> Set {
        let old = self.set.load();
        let member = |target: &Target| {
            let known = old.members.iter().find(|member| member.target() == target);
            known
                .cloned()
                .unwrap_or_else(|| Member::new(target, &self.service, &self.lookout, &self.runtime))
        };
        Set {
            members: list.iter().map(member).collect(),
            balance: *balance,
            watched: health.is_some(),
        }
    }

    /// The targets for a session of `client`, best first: all of them, for where one
    /// fails.
    pub(crate) fn order(&self, client: IpAddr) -> Vec<Arc<Member>> {
        let set = self.set.load();
        if let [only] = set.members.as_slice() {
            return vec![Arc::clone(only)];
        }
        let turn = self.turn.fetch_add(1, Relaxed);
        let candidates: Vec<Candidate> =
            set.members.iter().map(|member| member.candidate(set.watched, client)).collect();
        let mut places = order(set.balance, &candidates, turn);
        if let Some(&first) = places.first()
            && candidates[first].standing == Standing::Due
            && !set.members[first].condition().claim()
        {
            // Another client tries it.
            places.rotate_left(1);
        }
        places.into_iter().map(|place| Arc::clone(&set.members[place])).collect()
    }

    /// A target for a session of datagrams of `client`, the first in the order that has
    /// an address within `limit`. Only for a name that has never been resolved does it
    /// wait at all.
    ///
    /// # Errors
    /// No target has an address: the last one's reason.
    pub(in crate::relay) async fn choose(
        &self,
        client: IpAddr,
        limit: Duration,
    ) -> Result<Choice, Failed> {
        let deadline = Instant::now() + limit;
        let members = self.order(client);
        let mut failed = Failed::nowhere();
        for (index, member) in members.iter().enumerate() {
            let seat = Seat::of_datagrams(Arc::clone(member));
            let found = member.addresses(share(deadline, members.len() - index)).await;
            match found.map(|addresses| addresses.as_slice().first().copied()) {
                Ok(Some(address)) => return Ok(Choice { address, seat }),
                Ok(None) => {}
                Err(error) => {
                    seat.failed(&error);
                    failed = Failed { target: member.target().to_string(), error };
                }
            }
        }
        Err(failed)
    }

    /// Where the targets are, in the configuration's order.
    pub(in crate::relay) fn places(&self) -> Vec<TargetPlace> {
        self.set.load().members.iter().map(|member| member.place()).collect()
    }

    /// Others than the relay found how a target at this address does.
    pub(in crate::relay) fn tell(&self, address: SocketAddr, found: Result<(), &str>) {
        let set = self.set.load();
        let at = |member: &&Arc<Member>| member.place().addresses.contains(&address);
        for member in set.members.iter().filter(at) {
            match found {
                Ok(()) => member.worked(),
                Err(error) => member.failed(&error),
            }
        }
    }

    /// How the targets are, in the configuration's order.
    pub(in crate::relay) fn states(&self) -> Vec<TargetState> {
        self.set.load().members.iter().map(|member| member.state()).collect()
    }
}
