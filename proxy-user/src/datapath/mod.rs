//! The kernel's side of Weir, and the only room that calls bpf(2).
#![allow(unsafe_code, reason = "map layouts are read as raw bytes; each use says why it is sound")]

mod error;
mod load;
mod raw;

pub use error::DatapathError;
pub use load::{Maps, Programs, load};
