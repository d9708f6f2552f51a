//! A service as it is published now, and the sessions it has.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::{
    contract::Gate,
    control::{Control, Cut},
    stats::Counters,
    targets::Pool,
};
use crate::config::Service;

/// A published service. It outlives reloads, its settings do not.
pub(super) struct Published {
    settings: ArcSwap<Service>,
    pool: Pool,
    counters: Arc<Counters>,
    roll: Mutex<Roll>,
}

/// The sessions of a service.
#[derive(Debug, Default)]
struct Roll {
    next: u64,
    open: HashMap<u64, Arc<Control>>,
    /// Set once all were cut: what enters later meets the same fate.
    closed: Option<Cut>,
}

impl Published {
    pub(super) fn new(service: Arc<Service>, pool: Pool) -> Arc<Self> {
        Arc::new(Self {
            settings: ArcSwap::new(service),
            pool,
            counters: Arc::default(),
            roll: Mutex::default(),
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
            self.sessions().iter().for_each(|session| session.nudge());
        }
    }

    /// Enters a session of `client`. This must come before it is judged: either
    /// the judgement or [`Self::rejudge`] then sees a new policy.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr) -> Entered {
        let control = Arc::new(Control::new(client));
        let mut roll = self.roll.lock();
        if let Some(cut) = roll.closed {
            control.cut(cut);
        }
        let id = roll.next;
        roll.next += 1;
        roll.open.insert(id, Arc::clone(&control));
        drop(roll);
        Entered { published: Arc::clone(self), id, control }
    }

    /// Cuts the sessions that `gate` denies now.
    pub(super) fn rejudge(&self, gate: &dyn Gate) {
        let settings = self.settings();
        for session in self.sessions() {
            if gate.judge(&settings.name, session.client()).denied.is_some() {
                session.cut(Cut::PolicyChanged);
            }
        }
    }

    /// Cuts every session, and those still to come.
    pub(super) fn close(&self, cut: Cut) {
        self.roll.lock().closed.get_or_insert(cut);
        self.sessions().iter().for_each(|session| session.cut(cut));
    }

    /// Copied, so that the lock is not held while sessions are judged or woken.
    fn sessions(&self) -> Vec<Arc<Control>> {
        self.roll.lock().open.values().cloned().collect()
    }
}

/// A session's entry, removed when dropped.
pub(super) struct Entered {
    published: Arc<Published>,
    id: u64,
    control: Arc<Control>,
}

impl Entered {
    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    pub(super) fn published(&self) -> &Published {
        &self.published
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.published.roll.lock().open.remove(&self.id);
    }
}
