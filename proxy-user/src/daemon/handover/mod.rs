//! One process takes over from another: the listeners, the kernel's maps, the store, and
//! what the old one still serves, which it reports when it ends.
//!
//! ```text
//! successor                                    predecessor
//!   Hello        ----------------------------->
//!                <-----------------------------  Hello
//!   loads programs, reads the database
//!   Take         ----------------------------->
//!                                                accepts no more: clients wait
//!                <-----------------------------  Sockets ..., Offered
//!   binds what is missing
//!   Ready        ----------------------------->
//!                                                lets go of everything
//!                <-----------------------------  Expected ..., Past ..., Yours
//!   accepts                                      serves what is open to its end
//!                <-----------------------------  Report, Request, Lost ..., Done
//! ```
//!
//! Until `Ready` either may end, and the predecessor goes on as if nothing had been. It
//! is sent as late as can be: when nothing is left to fail but what a start after a crash
//! could fail by.

mod door;
mod flow;
mod frame;
mod give;
mod name;
mod offer;
mod past;
mod report;
mod request;
mod take;
#[cfg(test)]
mod tests;
mod wire;

pub(super) use door::Door;
pub(super) use frame::Estate;
pub(super) use give::give;
pub(super) use offer::{Offered, offer};
pub(super) use take::{Legacy, Predecessor, find};
