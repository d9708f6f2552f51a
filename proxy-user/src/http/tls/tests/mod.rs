//! Certificates that clients get, of pairs that tests make.
#![allow(clippy::unwrap_used, reason = "tests")]

mod client;
mod domains;
mod handshake;
mod hot_reload;
mod pairs;
mod self_signed;
pub(in crate::http::tls) mod support;
