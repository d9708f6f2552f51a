//! At most so many single records of attempts a second that were denied, or refused
//! before they completed any handshake; the rest is told in aggregates, whose number is
//! bounded too (SPEC 5).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    net::IpAddr,
};

use ipnet::IpNet;
use proxy_common::{address::FlowKey, reason::Reason, tables::ServiceSlot};

use crate::record::{Accounted, CounterId, Draft, FlowId, Origin};

const WINDOW: u64 = 1_000_000_000;
/// Aggregates by source prefix in a second.
const MOST_PREFIXES: usize = 256;

/// A denied or refused attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) service: ServiceSlot,
    pub(super) reason: Reason,
    pub(super) key: FlowKey,
    /// Kernel's monotonic clock.
    pub(super) time: u64,
    pub(super) judge: Judge,
}

/// Who denied or refused an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judge {
    /// A kernel program.
    Kernel {
        /// [`proxy_common::event::Hook`] as a number.
        hook: u8,
        /// Interface index.
        interface: u32,
        /// Where it is counted.
        counter: CounterId,
    },
    /// The relay. The kernel let the attempt pass, and has a flow of it where it saw it.
    Relay(Option<FlowId>),
    /// The HTTP layer, which has made a record of the request.
    Request(Box<Draft>),
}

impl Attempt {
    /// What its record stands for.
    pub(super) fn origin(&self) -> Origin {
        match self.judge {
            Judge::Kernel { counter, .. } => Origin::Denied {
                accounted: vec![Accounted { counter, attempts: 1 }],
                flows: Vec::new(),
            },
            Judge::Relay(Some(flow)) => Origin::Flow(flow),
            Judge::Relay(None) | Judge::Request(_) => Origin::Userspace,
        }
    }
}

/// Attempts that share a record.
#[derive(Clone, Debug)]
pub(super) struct Aggregate {
    pub(super) service: ServiceSlot,
    pub(super) reason: Reason,
    /// `None`: only numbers tell of these attempts.
    pub(super) first: Option<Attempt>,
    /// `None`: of more sources than can be told apart.
    pub(super) prefix: Option<IpNet>,
    pub(super) first_time: u64,
    pub(super) last_time: u64,
    /// In all.
    pub(super) attempts: u64,
    /// Of these, the kernel's.
    accounted: BTreeMap<CounterId, u64>,
    /// Of these, the relay's that the kernel has flows of.
    flows: Vec<FlowId>,
    /// Why counters tell of more than events did.
    pub(super) unseen: BTreeSet<&'static str>,
}

impl Aggregate {
    fn new((service, reason): Group, prefix: Option<IpNet>, time: u64) -> Self {
        Self {
            service,
            reason,
            first: None,
            prefix,
            first_time: time,
            last_time: time,
            attempts: 0,
            accounted: BTreeMap::new(),
            flows: Vec::new(),
            unseen: BTreeSet::new(),
        }
    }

    fn add(&mut self, attempt: Attempt) {
        self.last_time = self.last_time.max(attempt.time);
        self.attempts += 1;
        match attempt.judge {
            Judge::Kernel { counter, .. } => *self.accounted.entry(counter).or_default() += 1,
            Judge::Relay(flow) => self.flows.extend(flow),
            Judge::Request(_) => {}
        }
        self.first.get_or_insert(attempt);
    }

    /// What its record stands for.
    pub(super) fn origin(self) -> Origin {
        let accounted = self.accounted.into_iter();
        Origin::Denied {
            accounted: accounted
                .map(|(counter, attempts)| Accounted { counter, attempts })
                .collect(),
            flows: self.flows,
        }
    }
}

/// Attempts that one record may stand for.
pub(super) type Group = (ServiceSlot, Reason);

/// The allowance of one second after another.
#[derive(Debug)]
pub(super) struct Limiter {
    singles: u32,
    since: u64,
    taken: u32,
    prefixes: HashMap<(Group, IpNet), Aggregate>,
    rest: HashMap<Group, Aggregate>,
}

impl Limiter {
    pub(super) fn new(singles: u32) -> Self {
        Self { singles, since: 0, taken: 0, prefixes: HashMap::new(), rest: HashMap::new() }
    }

    pub(super) fn set_limit(&mut self, singles: u32) {
        self.singles = singles;
    }

    /// Gives aggregates of the second that is over.
    pub(super) fn turn(&mut self, now: u64) -> Vec<Aggregate> {
        if now.saturating_sub(self.since) < WINDOW {
            return Vec::new();
        }
        self.since = now;
        self.flush()
    }

    /// Gives what waits for its second to be over.
    pub(super) fn flush(&mut self) -> Vec<Aggregate> {
        self.taken = 0;
        let prefixes = self.prefixes.drain().map(|(_, aggregate)| aggregate);
        prefixes.chain(self.rest.drain().map(|(_, aggregate)| aggregate)).collect()
    }

    /// Whether the attempt may have a record of its own; else it is in an aggregate.
    pub(super) fn admit(&mut self, attempt: &Attempt) -> bool {
        let is_single = self.take_single();
        if !is_single {
            self.aggregate(attempt.clone());
        }
        is_single
    }

    /// Whether one more attempt may have a record of its own.
    pub(super) fn take_single(&mut self) -> bool {
        let is_single = self.taken < self.singles;
        self.taken += u32::from(is_single);
        is_single
    }

    /// Takes an attempt that has no record of its own.
    pub(super) fn aggregate(&mut self, attempt: Attempt) {
        let group = (attempt.service, attempt.reason);
        let prefix = prefix_of(attempt.key.client.into());
        let room = self.prefixes.len() < MOST_PREFIXES;
        let aggregate = match self.prefixes.entry((group, prefix)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) if room => {
                free.insert(Aggregate::new(group, Some(prefix), attempt.time))
            }
            Entry::Vacant(_) => self.rest(group, attempt.time),
        };
        aggregate.add(attempt);
    }

    /// Takes attempts that only a counter tells of.
    pub(super) fn unseen(
        &mut self,
        reason: Reason,
        counter: CounterId,
        attempts: u64,
        (why, time): (&'static str, u64),
    ) {
        let rest = self.counted((counter.service, reason), attempts, time);
        *rest.accounted.entry(counter).or_default() += attempts;
        rest.unseen.insert(why);
    }

    /// Takes attempts that are known by their number alone.
    pub(super) fn counted(&mut self, group: Group, attempts: u64, time: u64) -> &mut Aggregate {
        let rest = self.rest(group, time);
        rest.last_time = rest.last_time.max(time);
        rest.attempts += attempts;
        rest
    }

    fn rest(&mut self, group: Group, time: u64) -> &mut Aggregate {
        self.rest.entry(group).or_insert_with(|| Aggregate::new(group, None, time))
    }
}

/// The source's /24 or /48.
fn prefix_of(source: IpAddr) -> IpNet {
    let length = if source.is_ipv4() { 24 } else { 48 };
    IpNet::new(source, length).map_or_else(|_| IpNet::from(source), |net| net.trunc())
}
