//! What is told of certificates.

use super::{index::Candidate, validity::Validity};
use crate::record::Timestamp;

/// The certificate of a service's domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateState {
    /// The domain, as it is configured.
    pub domain: String,
    /// Where the certificate comes from; `None`: there is none, and handshakes are refused.
    pub source: Option<Source>,
    /// Its names.
    pub names: Vec<String>,
    /// Its end.
    pub not_after: Option<Timestamp>,
    /// What is wrong with it, in words.
    pub problem: Option<String>,
    /// How its order stands, where one is to be made.
    pub acme: Option<AcmeState>,
}

/// Where a certificate comes from, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A pair of `cert_dir`.
    CertDir,
    /// An authority that was asked for it.
    Acme,
    /// Nobody vouches for it.
    SelfSigned,
}

impl Source {
    /// As status and metrics call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CertDir => "cert_dir",
            Self::Acme => "acme",
            Self::SelfSigned => "self_signed",
        }
    }
}

/// How the orders for a domain stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeState {
    /// Whether one is under way.
    pub ordering: bool,
    /// Why the last one failed, where none succeeded since.
    pub last_error: Option<String>,
    /// When the next one is made.
    pub next_try: Option<Timestamp>,
}

impl CertificateState {
    pub(super) fn new(
        domain: String,
        best: Option<&Candidate>,
        acme: Option<AcmeState>,
        now: Timestamp,
    ) -> Self {
        let validity = best.map(|best| best.pair.validity);
        Self {
            domain,
            source: best.map(|best| best.source),
            names: best.map(|best| best.pair.names.clone()).unwrap_or_default(),
            not_after: validity.map(|validity| validity.not_after),
            problem: problem(validity, acme.as_ref(), now),
            acme,
        }
    }
}

fn problem(validity: Option<Validity>, acme: Option<&AcmeState>, now: Timestamp) -> Option<String> {
    let own = match validity {
        None => Some("there is none: handshakes are refused".to_owned()),
        Some(validity) => validity.problem(now),
    };
    let failed = acme.and_then(|acme| acme.last_error.as_ref());
    let failed = failed.map(|error| format!("the last order failed: {error}"));
    let both: Vec<String> = own.into_iter().chain(failed).collect();
    (!both.is_empty()).then(|| both.join("; "))
}
