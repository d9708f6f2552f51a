//! Restrictions, compiled: to tables, by which the kernel and the daemon judge, and for people
//! to an explanation.

mod classes;
mod compile;
mod error;
mod explain;
mod partition;
mod ranges;
mod reasons;
mod rules;
#[cfg(test)]
mod tests;
mod union;
mod verdict;

pub use classes::{Classes, Size};
pub use compile::{Policy, compile};
pub use error::{Excess, MAX_BYTES, MAX_CLASSES, PolicyError};
pub use explain::{Answer, Explanation, Lead};
pub use rules::{CidrFlags, Layer, Rules};
