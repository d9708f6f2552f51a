//! The first records of an order, or those behind one of them.

mod best;
mod key;
mod locals;
mod rank;

pub(super) use best::{Best, Found};
pub(super) use key::{Place, key};
pub(super) use locals::Locals;
pub(super) use rank::{Approach, HELD, Look, Scan, approach};
