//! `format`

use super::{Params, value::read};
use crate::api::{error::ApiError, export::Format};

/// Takes the format of an export out of `params`.
pub(in crate::api) fn format(params: &mut Params) -> Result<Format, ApiError> {
    let Some(value) = params.take("format")? else { return Ok(Format::default()) };
    read("format", &value, "jsonl or csv", |value| {
        Format::ALL
            .into_iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(value))
            .map(|(format, _)| format)
    })
}
