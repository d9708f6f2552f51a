//! Certificates that an authority is asked for (ACME, RFC 8555).

mod account;
mod authority;
mod order;
mod orders;
mod progress;
mod schedule;
#[cfg(test)]
mod tests;
mod transport;

pub(super) use authority::Authority;
pub(super) use orders::Orders;
