//! The tracker: what the kernel and the relay tell of flows and attempts goes in,
//! records come out. No I/O, and time is passed in.

mod adopt;
mod clock;
mod dials;
mod drafts;
mod elsewhere;
mod ledger;
mod limiter;
mod past;
mod rejudge;
mod relayed;
mod report;
mod requests;
mod services;
mod sessions;
mod tracker;
mod udp;
mod udp_sessions;

#[cfg(test)]
mod tests;

pub use clock::Now;
pub use ledger::Count;
pub use past::{FlowPast, RefusedByNumber, UdpPast, Unreported};
pub use report::{
    Admission, Bytes, Datagrams, Ended, Failure, Fate, Introduction, Opened, Outcome,
};
pub use requests::{RequestCounts, Requests};
pub use services::{Directory, ServiceInfo};
pub use tracker::{FlowTable, Output, Tracker, TrackerStats};
