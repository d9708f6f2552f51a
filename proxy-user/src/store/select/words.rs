//! Texts that contain, begin or end with another, in any case.

use std::borrow::Cow;

use memchr::memmem;

use super::{Result, Selected, coded};
use crate::store::block::{Column, Reader, Text, Texts};

/// Lower case, by the rules of Unicode.
pub(super) fn lower(text: &[u8]) -> Cow<'_, [u8]> {
    match str::from_utf8(text) {
        _ if text.is_ascii() && !text.iter().any(u8::is_ascii_uppercase) => text.into(),
        Ok(text) if !text.is_ascii() => text.to_lowercase().into_bytes().into(),
        _ => text.to_ascii_lowercase().into(),
    }
}

/// Rows whose text contains `part`, which is lower case.
pub(super) fn containing(reader: Reader<'_>, text: Text, part: &str) -> Result<Selected> {
    let hits = hits(&reader.texts(text)?, part.as_bytes());
    coded(reader, Column::Text(text), &hits)
}

/// Which texts contain `part`, which is lower case.
pub(super) fn hits(texts: &Texts, part: &[u8]) -> Vec<bool> {
    let finder = memmem::Finder::new(part);
    let (all, ends) = texts.parts();
    if part.is_empty() || !all.is_ascii() {
        return texts.iter().map(|text| finder.find(&lower(text)).is_some()).collect();
    }
    // Lower case has as many bytes: all texts are searched as one.
    let mut hits = vec![false; texts.len()];
    let all = all.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = all.get(from..).and_then(|rest| finder.find(rest)) {
        let at = from + found;
        let text = ends.partition_point(|end| *end as usize <= at);
        from = match ends.get(text) {
            Some(end) if at + part.len() <= *end as usize => {
                hits[text] = true;
                *end as usize
            }
            // It is of two texts.
            _ => at + 1,
        };
    }
    hits
}
