#![allow(clippy::unwrap_used, reason = "tests")]

mod datagrams;
mod maps;
mod rows;
mod simulation;
mod takeover;
mod udp;
mod udp_simulation;
mod world;
