//! Query strings, read strictly: what is not understood is refused by name.

mod date;
mod filter;
mod format;
mod listing;
mod pairs;
mod value;

pub(super) use filter::filter;
pub(super) use format::format;
pub(super) use listing::{part, query};
pub(super) use pairs::Params;
pub(super) use value::address;

#[cfg(test)]
mod tests;
