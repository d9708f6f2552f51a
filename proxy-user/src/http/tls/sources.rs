//! Where certificates come from, and what is put into the index of them.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use super::{
    Source, TlsError,
    acme::Authority,
    directory::Directory,
    index::{Candidate, Index},
    kept::Kept,
    names::cover,
    pair::Pair,
    self_signed::SelfSigned,
};
use crate::{config::Tls, record::Timestamp};

/// For clients that ask for no name. Reserved (RFC 2606), so that it is nobody's.
const NEUTRAL: &str = "weir.invalid";
/// Certificates come of age without anything changing.
const REVIEW: Duration = Duration::from_hours(1);

/// All that the index is made of.
pub(super) struct Sources {
    domains: Vec<String>,
    self_signs: bool,
    directory: Directory,
    authority: Option<Arc<Authority>>,
    /// The authority's, by domain.
    ordered: HashMap<String, Arc<Pair>>,
    self_signed: SelfSigned,
    reviewed: Timestamp,
}

impl Sources {
    /// With nothing read yet.
    pub(super) fn new(data_dir: &Path, tls: &Tls) -> Self {
        Self {
            domains: Vec::new(),
            self_signs: false,
            directory: Directory::new(&tls.cert_dir),
            authority: None,
            ordered: HashMap::new(),
            self_signed: SelfSigned::new(Kept::new(data_dir.join("self_signed"))),
            reviewed: Timestamp::default(),
        }
    }

    /// Follows another configuration.
    pub(super) fn follow(&mut self, data_dir: &Path, tls: &Tls, domains: Vec<String>) {
        self.domains = domains;
        self.self_signs = tls.self_signed;
        if self.directory.path() != tls.cert_dir {
            self.directory = Directory::new(&tls.cert_dir);
        }
        if self.authority.as_ref().map(|authority| authority.acme()) != tls.acme.as_ref() {
            let acme = tls.acme.clone();
            self.authority = acme.map(|acme| Arc::new(Authority::new(acme, data_dir)));
            self.ordered.clear();
        }
        self.load_ordered();
    }

    /// Loads what changed in `cert_dir`. Whether there is reason for another index.
    pub(super) fn poll(&mut self, now: Timestamp) -> bool {
        let age = now.0.saturating_sub(self.reviewed.0).unsigned_abs();
        self.directory.poll() || u128::from(age) >= REVIEW.as_millis()
    }

    /// Takes a certificate that an authority has signed, as PEM, and keeps it.
    ///
    /// # Errors
    /// It is not what was ordered, or cannot be kept.
    pub(super) fn keep(
        &mut self,
        authority: &Arc<Authority>,
        domain: &str,
        pem: &str,
    ) -> Result<(), TlsError> {
        let kept = authority.kept();
        let pair = kept.parse(domain, pem)?;
        if !cover(&pair.names, domain) {
            let fault = format!("the authority's certificate is for {:?}", pair.names);
            return Err(TlsError::content(Path::new(domain), fault));
        }
        kept.put(domain, pem)?;
        // Another may have been configured since.
        if self.authority.as_ref().is_some_and(|own| Arc::ptr_eq(own, authority)) {
            self.ordered.insert(domain.to_owned(), Arc::new(pair));
        }
        Ok(())
    }

    /// The index of all there is. Certificates that sign themselves are made for domains
    /// that have no other, where they may.
    pub(super) fn index(&mut self, now: Timestamp) -> Index {
        self.reviewed = now;
        let others: Vec<Candidate> = self.vouched_for().collect();
        let lacking = if self.self_signs { lacking(&self.domains, &others) } else { Vec::new() };
        self.self_signed.provide(&lacking, now);
        let own = self.self_signed.pairs().filter(|(domain, _)| *domain != NEUTRAL);
        let own = own.map(|(_, pair)| candidate(Source::SelfSigned, pair));
        let neutral = self.self_signed.get(NEUTRAL).map(|pair| Arc::clone(&pair.key));
        Index::new(&self.domains, others.into_iter().chain(own), neutral)
    }

    /// Domains of services.
    pub(super) fn domains(&self) -> &[String] {
        &self.domains
    }

    /// Who is asked for certificates.
    pub(super) fn authority(&self) -> Option<&Arc<Authority>> {
        self.authority.as_ref()
    }

    /// What is wrong with files.
    pub(super) fn faults(&self) -> Vec<String> {
        let unused = self.directory.pairs().filter(|(_, pair)| !self.is_of_use(pair));
        let unused = unused.map(|(name, pair)| {
            let file = self.directory.path().join(format!("{name}.crt"));
            format!("{}: its names are no service's: {}", file.display(), pair.names.join(", "))
        });
        let broken = self.directory.faults().chain(self.self_signed.fault()).map(str::to_owned);
        broken.chain(unused).collect()
    }

    fn is_of_use(&self, pair: &Pair) -> bool {
        let is_below = |domain: &str| {
            let below = domain.strip_prefix('*');
            below.is_some_and(|below| pair.names.iter().any(|name| name.ends_with(below)))
        };
        self.domains.iter().any(|domain| cover(&pair.names, domain) || is_below(domain))
    }

    fn load_ordered(&mut self) {
        let Some(authority) = &self.authority else { return };
        for domain in &self.domains {
            if self.ordered.contains_key(domain) {
                continue;
            }
            if let Some(pair) = authority.kept().load(domain) {
                self.ordered.insert(domain.clone(), Arc::new(pair));
            }
        }
    }

    fn vouched_for(&self) -> impl Iterator<Item = Candidate> {
        let directory = self.directory.pairs().map(|(_, pair)| candidate(Source::CertDir, pair));
        directory.chain(self.ordered.values().map(|pair| candidate(Source::Acme, pair)))
    }
}

/// Who needs a certificate that signs itself: domains that have no other, and clients that
/// name none.
fn lacking<'a>(domains: &'a [String], others: &[Candidate]) -> Vec<&'a str> {
    let has_none = |domain: &&str| !others.iter().any(|other| cover(&other.pair.names, domain));
    domains.iter().map(String::as_str).filter(has_none).chain([NEUTRAL]).collect()
}

fn candidate(source: Source, pair: &Arc<Pair>) -> Candidate {
    Candidate { source, pair: Arc::clone(pair) }
}
