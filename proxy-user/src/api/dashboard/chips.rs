//! The filters in force, each with a way to take it back.

use super::{fields, link::Pairs, range};

/// One.
pub(super) struct Chip {
    pub(super) label: &'static str,
    pub(super) value: String,
    /// The page without it.
    pub(super) href: String,
}

/// Parameters that say which part of the records is shown, not which records.
pub(super) const PAGING: [&str; 2] = ["page", "cursor"];
/// Parameters that say in which order records are shown and how many at a time.
pub(super) const ORDER: [&str; 3] = ["sort_by", "sort_order", "page_size"];

/// Those of a page's parameters.
pub(super) fn chips(pairs: &Pairs, path: &str) -> Vec<Chip> {
    let kept = pairs.without(&PAGING);
    let chip = |(name, value): (&str, &str)| {
        let (label, value) = match name {
            range::NAME if value == range::ALL => return None,
            range::NAME => {
                let preset = range::PRESETS.iter().find(|(preset, _, _)| *preset == value);
                ("Time", preset.map_or(value, |(_, shown, _)| shown))
            }
            _ => (fields::label(name)?, fields::value_in_words(name, value)),
        };
        Some((label, value.to_owned()))
    };
    // Without a preset a page may have one of its own.
    let rest = |name, value| match name {
        range::NAME => kept.with(name, range::ALL),
        _ => kept.less(name, value),
    };
    pairs
        .iter()
        .filter_map(|(name, value)| {
            let (label, shown) = chip((name, value))?;
            Some(Chip { label, value: shown, href: rest(name, value).to(path) })
        })
        .collect()
}
