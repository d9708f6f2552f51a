//! The policy in force, as the relay asks it.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use proxy_common::verdict::Judgement;

use crate::{policy::Policy, relay::Gate};

/// The policy in force.
pub(super) struct InForce(pub(super) ArcSwap<Policy>);

impl InForce {
    pub(super) fn new(policy: Policy) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(policy)))
    }
}

impl Gate for InForce {
    fn judge(&self, service: &str, client: IpAddr) -> Judgement {
        self.0.load().judge(service, client)
    }
}
