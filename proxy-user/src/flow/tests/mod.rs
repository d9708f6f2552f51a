#![allow(clippy::unwrap_used, reason = "tests")]

mod datagrams;
mod http;
mod maps;
mod plane;
mod requests;
mod rows;
mod simulation;
mod takeover;
mod udp;
mod udp_simulation;
mod world;
