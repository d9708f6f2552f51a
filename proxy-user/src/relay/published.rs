//! A service as it is published now, and the sessions it has.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;

use super::{
    contract::Gate,
    control::{Control, Cut},
    roll::{Entry, Roll},
    stats::Counters,
    targets::Pool,
};
use crate::config::Service;

/// A published service. It outlives reloads, its settings do not.
pub(super) struct Published {
    settings: ArcSwap<Service>,
    pool: Pool,
    counters: Arc<Counters>,
    roll: Arc<Roll>,
}

impl Published {
    pub(super) fn new(service: Arc<Service>, pool: Pool) -> Arc<Self> {
        Arc::new(Self {
            settings: ArcSwap::new(service),
            pool,
            counters: Arc::default(),
            roll: Arc::default(),
        })
    }

    /// The settings in force.
    pub(super) fn settings(&self) -> Arc<Service> {
        self.settings.load_full()
    }

    /// What is behind it.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Puts new settings in force, for running sessions too.
    pub(super) fn update(&self, service: &Arc<Service>) {
        self.pool.update(service);
        let old = self.settings.swap(Arc::clone(service));
        if old.idle_timeout != service.idle_timeout {
            self.nudge();
        }
    }

    /// Makes every session look at its settings again.
    pub(super) fn nudge(&self) {
        self.roll.controls().iter().for_each(|session| session.nudge());
    }

    /// Enters a session of `client`. This must come before it is judged: either
    /// the judgement or [`Self::rejudge`] then sees a new policy.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr) -> Entered {
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

/// A session's entry, removed when dropped.
pub(super) struct Entered {
    entry: Entry,
    published: Arc<Published>,
}

impl Entered {
    pub(super) fn control(&self) -> &Arc<Control> {
        self.entry.control()
    }

    pub(super) fn published(&self) -> &Arc<Published> {
        &self.published
    }
}
