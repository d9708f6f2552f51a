//! The API over real sockets, before a backend in memory.

#![allow(clippy::unwrap_used, reason = "tests")]

mod access;
mod backend;
mod client;
mod control;
mod dashboard;
mod export;
mod read;
mod samples;
mod server;
mod stream;
