//! The policy in force, as the relay asks it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use proxy_common::verdict::Judgement;

use crate::{
    policy::Policy,
    relay::{Client, Gate},
};

/// The policy in force.
pub(super) struct InForce(pub(super) ArcSwap<Policy>);

impl InForce {
    pub(super) fn new(policy: Policy) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(policy)))
    }
}

impl Gate for InForce {
    fn judge(&self, service: &str, client: Client) -> Judgement {
        let policy = self.0.load();
        if client.is_itself {
            policy.judge(service, client.address)
        } else {
            policy.judge_proxy(service, client.address)
        }
    }
}
