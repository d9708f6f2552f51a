//! Connections to targets: dialled, kept while they are of use, and spoken over.

mod connect;
mod idle;
mod sender;
#[cfg(test)]
mod tests;
mod tls;

pub(super) use connect::{Reach, connect, speak};
pub(super) use idle::{Key, keep, take};
pub(super) use sender::Sender;
pub(super) use tls::ClientTls;
