//! Ids of requests.

use std::cell::RefCell;

use uuid::Uuid;

use crate::record::{Ids, Timestamp};

thread_local! {
    /// Each thread is a node of its own.
    static IDS: RefCell<Ids> = RefCell::new(Ids::after(None));
}

/// The id of a request that begins now. Nothing is anyone's by knowing it.
pub(super) fn next(now: Timestamp) -> Uuid {
    IDS.with_borrow_mut(|ids| ids.next(now))
}
