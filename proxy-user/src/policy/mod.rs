//! Restrictions, compiled: for the kernel as tables, for the daemon as the same
//! tables, and for people as an explanation.

mod compile;
mod explain;
mod ranges;
mod reasons;
#[cfg(test)]
mod tests;
mod union;

pub use compile::{Policy, TableIds, compile};
pub use explain::{Answer, Explanation, Lead};
