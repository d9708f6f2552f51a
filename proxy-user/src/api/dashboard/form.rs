//! The form of filters, filled with those in force.

use super::{
    chips::{Chip, ORDER, chips},
    fields::{self, Choice, SEARCH, TEXTS, Text},
    link::Pairs,
    range,
};

/// The form above records and charts.
pub(super) struct FilterForm {
    /// Of the page.
    pub(super) path: &'static str,
    pub(super) search: Input,
    /// Time presets.
    pub(super) ranges: Vec<Offer>,
    pub(super) inputs: Vec<Input>,
    /// Of one value, or none.
    pub(super) selects: Vec<Group>,
    /// Of any number of values.
    pub(super) groups: Vec<Group>,
    /// What is kept that the form has no field for.
    pub(super) kept: Vec<(String, String)>,
    pub(super) chips: Vec<Chip>,
    /// What the API says of the filters, if it refuses them.
    pub(super) error: Option<String>,
}

/// A field that is typed into.
pub(super) struct Input {
    /// Unique on the page.
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
    pub(super) value: String,
}

/// One of several.
pub(super) struct Offer {
    pub(super) value: &'static str,
    pub(super) shown: &'static str,
    pub(super) chosen: bool,
}

/// The values of one name.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) offers: Vec<Offer>,
}

impl FilterForm {
    /// Of a page with these parameters.
    pub(super) fn new(path: &'static str, pairs: &Pairs, error: Option<String>) -> Self {
        let kept = ORDER.iter().filter_map(|name| Some(((*name).into(), pairs.one(name)?.into())));
        let (many, one): (Vec<_>, Vec<_>) =
            fields::choices().into_iter().partition(|choice| choice.many);
        let groups = |choices: Vec<Choice>| choices.iter().map(|c| group(c, pairs)).collect();
        Self {
            path,
            search: inputs(&SEARCH, pairs).remove(0),
            ranges: ranges(pairs),
            inputs: TEXTS.iter().flat_map(|text| inputs(text, pairs)).collect(),
            selects: groups(one),
            groups: groups(many),
            kept: kept.collect(),
            chips: chips(pairs, path),
            error,
        }
    }

    /// Whether what is behind "More filters" is shown from the start.
    pub(super) fn is_open(&self) -> bool {
        self.error.is_some()
    }
}

/// One field for each value, and an empty one for one more.
fn inputs(text: &Text, pairs: &Pairs) -> Vec<Input> {
    let most = if text.many { usize::MAX } else { 1 };
    let mut values: Vec<&str> = pairs.all(text.name).take(most).collect();
    if values.is_empty() || text.many {
        values.push("");
    }
    let input = |(index, value): (usize, &str)| Input {
        id: if index == 0 {
            format!("f-{}", text.name)
        } else {
            format!("f-{}-{index}", text.name)
        },
        name: text.name,
        label: text.label,
        hint: text.hint,
        value: value.to_owned(),
    };
    values.into_iter().enumerate().map(input).collect()
}

fn ranges(pairs: &Pairs) -> Vec<Offer> {
    let by_moments = range::MOMENTS.iter().any(|name| pairs.one(name).is_some());
    let nothing = if by_moments { "" } else { range::ALL };
    let given = pairs.one(range::NAME).unwrap_or(nothing);
    let presets = range::PRESETS.iter().map(|(value, shown, _)| (*value, *shown));
    [("", "As set below"), (range::ALL, "All time")]
        .into_iter()
        .chain(presets)
        .map(|(value, shown)| Offer { value, shown, chosen: value == given })
        .collect()
}

fn group(choice: &Choice, pairs: &Pairs) -> Group {
    let chosen =
        |value: &str| pairs.all(choice.name).any(|given| given.eq_ignore_ascii_case(value));
    let offer = |(value, shown): &(&'static str, &'static str)| Offer {
        value,
        shown,
        chosen: chosen(value),
    };
    Group {
        name: choice.name,
        label: choice.label,
        offers: choice.values.iter().map(offer).collect(),
    }
}
