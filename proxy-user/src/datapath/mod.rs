//! The kernel's side of Weir, and the only room that calls bpf(2).
#![allow(unsafe_code, reason = "map layouts are read as raw bytes; each use says why it is sound")]

mod attach;
mod backends;
mod bpf;
mod by_prefix;
mod claim;
mod clsact;
mod counters;
mod error;
mod events;
mod flows;
mod forwarded;
mod generation;
mod grace;
mod half_open;
mod links;
mod load;
mod locals;
#[cfg(feature = "log")]
mod log;
mod netfilter;
mod netlink;
mod network;
mod offloads;
mod pins;
mod plane;
mod ports;
mod raw;
mod release;
mod reset;
mod route;
mod routes;
mod sets;
mod slots;
mod sockets;
mod tables;
mod unsent;

pub use attach::{Attached, Attacher, TcAttachment};
pub use backends::{Backends, TargetWay};
pub use claim::Claim;
pub use counters::{Counters, Denials};
pub use error::DatapathError;
pub use events::{Event, Events};
pub use flows::Flows;
pub use forwarded::ForwardedFlows;
pub use generation::{Generation, SHARED, ServiceEntry};
pub use half_open::HalfOpen;
pub use load::{Loaded, Maps, Programs, load, load_other};
#[cfg(feature = "log")]
pub use log::ProgramLog;
pub use netfilter::foreign_chains;
pub use network::{Interface, LinkLayer, Network, Route, follow};
pub use pins::Pins;
pub use plane::AnswerPorts;
pub use release::Release;
pub use reset::Resetter;
pub use route::{Egress, egress};
pub use sockets::{destroy, queued};
pub use tables::Tables;
pub use unsent::unsent;
