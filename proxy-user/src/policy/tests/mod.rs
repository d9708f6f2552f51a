#![allow(clippy::unwrap_used, reason = "tests")]

mod explained;
mod large;
mod reference;
mod strategy;
