//! The kernel programs, run by `BPF_PROG_TEST_RUN`. Needs root.

mod clsact;
mod datagrams;
mod frames;
mod generations;
mod harness;
mod host;
mod life;
#[cfg(feature = "log")]
mod log;
mod network;
mod odd;
mod peers;
mod plane;
mod plane_edges;
mod plane_random;
mod policies;
mod rows;
mod udp;
mod verdicts;
mod verifier;

/// The random policies that the daemon's own tests use.
#[allow(clippy::unwrap_used, reason = "it stands where unwrapping is allowed")]
#[path = "../../src/policy/tests/strategy.rs"]
mod strategy;

// What strategy.rs knows as `crate::config` and `crate::geo`.
use proxy_user::{config, geo};
