//! Who is connected, and can be told to end.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    contract::Client,
    control::{Control, Cut},
};
use crate::record::KeyedMap;

/// Connections that end by the same orders.
#[derive(Debug, Default)]
pub(super) struct Roll(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    controls: KeyedMap<u64, Arc<Control>>,
    /// Set once all were cut: what enters later meets the same fate.
    closed: Option<Cut>,
}

impl Roll {
    /// Enters a connection of `client`.
    pub(super) fn enter(self: &Arc<Self>, client: Client) -> Entry {
        let control = Arc::new(Control::new(client));
        let mut open = self.0.lock();
        if let Some(cut) = open.closed {
            control.cut(cut);
        }
        let id = open.next;
        open.next += 1;
        open.controls.insert(id, Arc::clone(&control));
        drop(open);
        Entry { roll: Arc::clone(self), id, control }
    }

    /// Cuts every connection, and those still to come.
    pub(super) fn close(&self, cut: Cut) {
        self.0.lock().closed.get_or_insert(cut);
        self.controls().iter().for_each(|control| control.cut(cut));
    }

    /// Copied, so that the lock is not held while clients are judged or tasks woken.
    pub(super) fn controls(&self) -> Vec<Arc<Control>> {
        self.0.lock().controls.values().cloned().collect()
    }
}

/// A connection's entry, removed when dropped.
#[derive(Debug)]
pub(super) struct Entry {
    roll: Arc<Roll>,
    id: u64,
    control: Arc<Control>,
}

impl Entry {
    pub(super) fn control(&self) -> &Arc<Control> {
        &self.control
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.roll.0.lock().controls.remove(&self.id);
    }
}
