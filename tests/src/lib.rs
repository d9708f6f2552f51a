//! The lab: what the end-to-end tests, the demo and the quick start share.

pub mod mmdb;
