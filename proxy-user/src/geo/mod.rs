//! Where addresses are: a MaxMind database, its reload and its update.

mod database;
mod holder;
#[cfg(test)]
mod tests;
mod update;

pub use database::{Database, GeoError};
pub use holder::Holder;
pub use update::{UpdateError, Updated, update};
