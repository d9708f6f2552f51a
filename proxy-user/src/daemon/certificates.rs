//! Certificates, in the API's words.

use super::core::Core;
use crate::{
    api::model::{CertificateStatus, OrderStatus},
    http::tls::{AcmeState, CertificateState, Source},
};

impl Core {
    /// Of each domain that is served over TLS.
    pub(super) fn certificates(&self) -> Vec<CertificateStatus> {
        self.certificates.states().into_iter().map(certificate).collect()
    }
}

/// What the operator should know of them, one sentence each.
pub(super) fn warnings(certificates: &[CertificateStatus]) -> impl Iterator<Item = String> {
    certificates.iter().filter_map(|certificate| {
        let problem = certificate.problem.as_ref()?;
        Some(format!("the certificate of {}: {problem}", certificate.domain))
    })
}

fn certificate(state: CertificateState) -> CertificateStatus {
    CertificateStatus {
        domain: state.domain,
        source: state.source.map_or("none", Source::as_str).to_owned(),
        names: state.names,
        not_after: state.not_after,
        problem: state.problem,
        acme: state.acme.map(order),
    }
}

fn order(state: AcmeState) -> OrderStatus {
    OrderStatus { ordering: state.ordering, last_error: state.last_error, next_try: state.next_try }
}
