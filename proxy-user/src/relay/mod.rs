//! The relay: accepts connections, judges each again, dials one of the targets and
//! copies both ways, by splice where it pays.
//!
//! Every accepted connection is reported to the [`Journal`] exactly once, also
//! when its task panics or is aborted. An idle session holds two file descriptors
//! and no buffer.

mod accept;
mod connect;
mod contract;
mod control;
mod copy;
mod descriptor;
mod dial;
mod first_words;
pub mod front;
mod guest;
mod inherited;
mod intake;
pub mod limits;
mod listeners;
mod listening;
mod plan;
mod published;
mod rebind;
mod receive;
mod roll;
mod sensor;
mod session;
mod site;
mod socket;
mod stats;
mod targets;
#[cfg(test)]
pub(crate) mod tests;
mod udp;
mod workers;

pub use crate::flow::{Admission, Bytes, Datagrams, Ended, Failure, Fate, Opened, Outcome};
pub(crate) use connect::{DialError, share};
pub use contract::{Client, Examination, Examiner, Gate, Journal, Lookout};
pub(crate) use control::Cut;
pub use descriptor::{Descriptor, Transport};
pub(crate) use first_words::FirstWords;
pub(crate) use front::{Routes, Web};
pub(crate) use guest::House;
pub use guest::{Guest, Host};
pub use inherited::Inherited;
pub use intake::Intake;
pub use limits::Limits;
pub(crate) use limits::Permit;
pub use listeners::{Change, Listeners};
pub use listening::ListenError;
pub(crate) use published::Published;
pub(crate) use receive::Judged;
pub(crate) use site::Site;
pub use stats::Stats;
pub(crate) use stats::{Counters, Place};
pub(crate) use targets::{Member, Pool, Seat};
pub use targets::{TargetPlace, TargetState};
pub use workers::workers;
