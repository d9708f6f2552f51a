//! Query strings, read strictly: what is not understood is refused by name.

mod date;
mod described;
mod filter;
mod format;
mod listing;
mod pairs;
mod value;

pub(super) use described::{
    FilterParameters, FormatParameter, IpText, PageParameters, RecordPageParameters,
};
pub(super) use filter::filter;
pub(super) use format::format;
pub(super) use listing::{MAX_REACH, part, query};
pub(super) use pairs::Params;
pub(super) use value::address;

#[cfg(test)]
mod tests;

/// A query as `/api/events/proxy` understands it, for who reads the store without a
/// daemon.
///
/// # Errors
/// What is wrong with it, in the words that the API would use.
pub fn parse_query(query: &str) -> Result<crate::store::Query, String> {
    let uri = format!("/?{query}").parse().map_err(|error| format!("{error}"))?;
    let read = Params::of(&uri).and_then(self::query);
    read.map_err(|error| error.message)
}
