//! An `http` service while it is published: its routes, each with its targets.

use std::sync::Arc;

use super::{
    guest::Host,
    targets::{Pool, TargetState},
};
use crate::config::{Route, Service, Targets, Web};

/// Settings and targets that belong together.
pub(crate) struct Site {
    settings: Arc<Service>,
    /// In the order of the service's routes.
    pools: Vec<Arc<Pool>>,
}

impl Site {
    /// Of these settings, where they are of a service over HTTP. A route keeps the pool
    /// that it has `before`.
    pub(super) fn of(
        settings: &Arc<Service>,
        before: Option<&Self>,
        new_pool: impl Fn() -> Pool,
        host: &dyn Host,
    ) -> Option<Self> {
        let pools = settings.web()?.routes.iter().map(|route| {
            let known = before.and_then(|before| before.pool(&route.path));
            let pool = known.cloned().unwrap_or_else(|| Arc::new(new_pool()));
            pool.update(&targets(route), |target| {
                let target = route.targets.iter().find(|known| known.target == *target)?;
                host.examination(settings, route, target)
            });
            pool
        });
        let pools = pools.collect();
        Some(Self { settings: Arc::clone(settings), pools })
    }

    fn pool(&self, path: &str) -> Option<&Arc<Pool>> {
        self.routes().find(|(route, _)| route.path == path).map(|(_, pool)| pool)
    }

    /// The service's settings.
    pub(crate) fn settings(&self) -> &Arc<Service> {
        &self.settings
    }

    /// What it does with requests.
    pub(crate) fn web(&self) -> Option<&Web> {
        self.settings.web()
    }

    /// Every route with its targets, the longest path first.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&Route, &Arc<Pool>)> + Clone {
        let routes = self.settings.web().map_or(&[][..], |web| &web.routes);
        routes.iter().zip(&self.pools)
    }

    /// How the targets are.
    pub(super) fn states(&self) -> Vec<TargetState> {
        self.pools.iter().flat_map(|pool| pool.states()).collect()
    }
}

fn targets(route: &Route) -> Targets {
    Targets {
        list: route.targets.iter().map(|target| target.target.clone()).collect(),
        balance: route.balance,
        health: route.health.as_ref().map(|health| health.health),
    }
}
