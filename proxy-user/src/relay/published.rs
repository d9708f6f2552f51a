//! A service as it is published now, and the sessions it has.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::runtime::Handle;

use super::{
    contract::{Client, Gate, Lookout},
    control::{Control, Cut},
    guest::Host,
    roll::{Entry, Roll},
    site::Site,
    stats::Counters,
    targets::{Pool, TargetState},
};
use crate::config::{Destination, Mode, Service};

/// A published service. It outlives reloads, its settings do not.
pub(crate) struct Published {
    settings: ArcSwap<Service>,
    /// Of one over HTTP there is nothing in it.
    pool: Pool,
    /// Of one over HTTP.
    site: ArcSwapOption<Site>,
    counters: Arc<Counters>,
    roll: Arc<Roll>,
    behind: Behind,
}

/// What targets are followed with.
#[derive(Clone)]
pub(super) struct Behind {
    pub(super) lookout: Arc<dyn Lookout>,
    pub(super) host: Arc<dyn Host>,
    /// Where names are resolved and targets looked at.
    pub(super) runtime: Handle,
}

impl Published {
    pub(super) fn new(service: &Arc<Service>, behind: Behind) -> Arc<Self> {
        let published = Self {
            settings: ArcSwap::new(Arc::clone(service)),
            pool: behind.pool(&service.name),
            site: ArcSwapOption::empty(),
            counters: Arc::default(),
            roll: Arc::default(),
            behind,
        };
        published.follow(service);
        Arc::new(published)
    }

    /// Whether these settings are of a service that this one could be after a reload.
    pub(super) fn could_be(&self, service: &Service) -> bool {
        let mode = self.settings().mode;
        let is_web = |mode| mode == Mode::Http;
        mode.transport() == service.mode.transport() && is_web(mode) == is_web(service.mode)
    }

    /// The settings in force.
    pub(crate) fn settings(&self) -> Arc<Service> {
        self.settings.load_full()
    }

    /// What requests meet, where it is a service over HTTP.
    pub(crate) fn site(&self) -> Option<Arc<Site>> {
        self.site.load_full()
    }

    /// How its targets are, in the configuration's order.
    pub(super) fn targets(&self) -> Vec<TargetState> {
        self.site().map_or_else(|| self.pool.states(), |site| site.states())
    }

    /// What is behind it.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Puts new settings in force, for running sessions too.
    pub(super) fn update(&self, service: &Arc<Service>) {
        self.follow(service);
        let old = self.settings.swap(Arc::clone(service));
        if old.idle_timeout != service.idle_timeout {
            self.nudge();
        }
    }

    fn follow(&self, service: &Arc<Service>) {
        if let Destination::Targets(targets) = &service.destination {
            self.pool.update(targets, |_| None);
        }
        let before = self.site.load();
        let new_pool = || self.behind.pool(&service.name);
        let site = Site::of(service, before.as_deref(), new_pool, &*self.behind.host);
        self.site.store(site.map(Arc::new));
    }

    /// Makes every session look at its settings again.
    pub(super) fn nudge(&self) {
        self.roll.controls().iter().for_each(|session| session.nudge());
    }

    /// Enters a session of `client`. This must come before it is judged: either
    /// the judgement or [`Self::rejudge`] then sees a new policy.
    pub(super) fn enter(self: &Arc<Self>, client: Client) -> Entered {
        Entered { entry: self.roll.enter(client), published: Arc::clone(self) }
    }

    /// Cuts the sessions that `gate` denies now.
    pub(super) fn rejudge(&self, gate: &dyn Gate) {
        let settings = self.settings();
        for session in self.roll.controls() {
            if gate.judge(&settings.name, session.client()).denied.is_some() {
                session.cut(Cut::PolicyChanged);
            }
        }
    }

    /// Cuts every session, and those still to come.
    pub(super) fn close(&self, cut: Cut) {
        self.roll.close(cut);
    }
}

impl Behind {
    fn pool(&self, service: &str) -> Pool {
        Pool::new(service, Arc::clone(&self.lookout), self.runtime.clone())
    }
}

/// A session's entry, removed when dropped.
pub(crate) struct Entered {
    entry: Entry,
    published: Arc<Published>,
}

impl Entered {
    pub(crate) fn control(&self) -> &Arc<Control> {
        self.entry.control()
    }

    pub(crate) fn published(&self) -> &Arc<Published> {
        &self.published
    }
}
