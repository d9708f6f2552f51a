#![allow(clippy::unwrap_used, reason = "tests")]

mod admission;
mod explained;
mod large;
mod reference;
mod strategy;
mod tables;
