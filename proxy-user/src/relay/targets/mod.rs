//! What a service has behind it: targets with their addresses, how they are, and which
//! of them a client gets.

mod condition;
mod member;
mod names;
mod order;
mod pool;
mod probe;
mod seat;

pub(crate) use member::Member;
pub(super) use pool::Choice;
pub(crate) use pool::Pool;
pub use pool::{TargetPlace, TargetState};
pub(crate) use seat::Seat;
