#![allow(clippy::unwrap_used, reason = "tests")]

mod rows;
mod simulation;
mod world;
