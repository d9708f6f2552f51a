//! The configuration: raw TOML in, validated types out.

mod model;

pub use model::*;
