//! Connections that another process serves to their end.
//!
//! The relay of this process judges its own connections by a new policy. That of the
//! other process knows no new policy, so that the tracker does it here.

use proxy_common::address::FlowKey;

use crate::record::KeyedMap;

/// Connections of TCP by 5-tuple. A UDP session has no socket of its own to be ended by;
/// what its client sends reaches this process's relay.
#[derive(Debug, Default)]
pub(super) struct Elsewhere(KeyedMap<FlowKey, Served>);

#[derive(Debug, Default)]
struct Served {
    /// Sessions whose report is still to come.
    open: u32,
    is_cut: bool,
}

impl Elsewhere {
    pub(super) fn opened(&mut self, key: FlowKey) {
        self.0.entry(key).or_default().open += 1;
    }

    pub(super) fn serves(&self, key: &FlowKey) -> bool {
        self.0.contains_key(key)
    }

    /// A report came, or none will. True: the connection was cut.
    pub(super) fn ended(&mut self, key: &FlowKey) -> bool {
        let Some(served) = self.0.get_mut(key) else { return false };
        served.open = served.open.saturating_sub(1);
        let is_cut = served.is_cut;
        if served.open == 0 {
            self.0.remove(key);
        }
        is_cut
    }

    /// A new policy denies the client. True: it is served by another process, and is to be
    /// ended now.
    pub(super) fn cut(&mut self, key: &FlowKey) -> bool {
        self.0.get_mut(key).is_some_and(|served| !std::mem::replace(&mut served.is_cut, true))
    }
}
