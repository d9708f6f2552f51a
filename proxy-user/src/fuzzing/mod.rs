//! Readers of what comes from outside, each with what must hold whatever it is given.
//!
//! `cargo xtask fuzz` looks for bytes by which it does not; the tests read everything
//! again that `fuzz/corpus` keeps, crashes of the past among it.

mod frame;
mod record;
#[cfg(test)]
mod tests;

pub use frame::frame;
pub use record::record;
