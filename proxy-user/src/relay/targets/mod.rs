//! What a service has behind it: targets with their addresses, how they are, and which
//! of them a client gets.

mod condition;
mod member;
mod names;
mod order;
mod pool;
mod probe;
mod seat;

pub use pool::TargetState;
pub(super) use pool::{Choice, Pool};
pub(super) use seat::Seat;
