//! The first records of an order, or those behind one of them.

mod best;
mod key;
mod locals;

pub(super) use best::{Best, Found};
pub(super) use key::{Place, key};
pub(super) use locals::Locals;
