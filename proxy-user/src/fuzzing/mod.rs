//! Readers of what comes from outside, each with what must hold whatever it is given.
//!
//! `cargo xtask fuzz` looks for bytes by which it does not; the tests read everything
//! again that `fuzz/corpus` keeps, crashes of the past among it.

mod client_hello;
mod frame;
mod proxy_header;
mod record;
#[cfg(test)]
mod tests;

pub use client_hello::client_hello;
pub use frame::frame;
pub use proxy_header::proxy_header;
pub use record::record;
