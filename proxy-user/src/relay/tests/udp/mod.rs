//! Services of datagrams.

mod admission;
mod datagrams;
mod ending;
mod many;
mod reload;
mod support;
mod targets;
