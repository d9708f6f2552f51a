//! All that a handshake needs, made anew when anything of it changes.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use rustls::sign::CertifiedKey;

use super::{Source, names::wildcard_of, pair::Pair};
use crate::record::Timestamp;

/// Which certificate goes to whom.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Domains of services, in lower case, some of them `*.` and a name.
    domains: HashSet<String>,
    /// By each of their names.
    candidates: HashMap<String, Vec<Candidate>>,
    /// For clients that ask for no name.
    neutral: Option<Arc<CertifiedKey>>,
}

/// A certificate, and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) source: Source,
    pub(super) pair: Arc<Pair>,
}

impl Index {
    pub(super) fn new(
        domains: &[String],
        candidates: impl Iterator<Item = Candidate>,
        neutral: Option<Arc<CertifiedKey>>,
    ) -> Self {
        let domains = domains.iter().cloned().collect();
        let mut index = Self { domains, neutral, ..Self::default() };
        for candidate in candidates {
            for name in &candidate.pair.names {
                index.candidates.entry(name.clone()).or_default().push(candidate.clone());
            }
        }
        index
    }

    /// What is shown to a client that asks for this name, which is in lower case. `None`: no
    /// service has it, or there is no certificate for it.
    pub(super) fn key(&self, name: Option<&str>, now: Timestamp) -> Option<Arc<CertifiedKey>> {
        let Some(name) = name else { return self.neutral.clone() };
        let candidate = self.knows(name).then(|| self.best(name, now))??;
        Some(Arc::clone(&candidate.pair.key))
    }

    /// Whether it is the domain of a service.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.domains.contains(name)
            || wildcard_of(name).is_some_and(|name| self.domains.contains(&name))
    }

    /// The best certificate for a name: first of all one that is valid; then by where it
    /// comes from; the name itself before a wildcard; at last the one that lasts longest.
    pub(super) fn best(&self, name: &str, now: Timestamp) -> Option<&Candidate> {
        let named = |name: &str| self.candidates.get(name).into_iter().flatten();
        let exact = named(name).map(|candidate| (candidate, false));
        let wildcard = wildcard_of(name);
        let wider = wildcard.as_deref().into_iter().flat_map(named);
        let all = exact.chain(wider.map(|candidate| (candidate, true)));
        let rank = |(candidate, is_wider): &(&Candidate, bool)| {
            let validity = candidate.pair.validity;
            (!validity.holds(now), candidate.source, *is_wider, Reverse(validity.not_after))
        };
        all.min_by_key(rank).map(|(candidate, _)| candidate)
    }
}
