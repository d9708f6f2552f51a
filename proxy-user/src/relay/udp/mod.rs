//! Services of datagrams: a session for each client and address that it writes to.
//!
//! One task receives for a listening socket, and passes datagrams of open sessions on by
//! itself; it waits for nothing but more of them. A session has a connected socket towards
//! its target, and a task of its own for the answers and for its end.

mod admission;
mod answers;
mod aside;
mod attempts;
mod batch;
mod bundles;
mod listener;
mod port;
mod ports;
mod receive;
mod refusals;
mod session;
mod socket;
mod table;
mod uplink;
mod upstream;

pub(super) use listener::Listener;
pub(super) use ports::{Change, Ports};
pub(super) use socket::{listen, listen_beside};
