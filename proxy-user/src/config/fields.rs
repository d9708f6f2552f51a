//! Reads one table: every key once, typed, each fault with its place.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    fault::{At, Report},
    schema::{Schema, nearest},
    tree::{Node, Table, Value},
    units,
};

/// Of durations.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// A table that is being read.
pub(super) struct Fields<'a, 'r> {
    table: &'a Table,
    /// Of the table.
    pub(super) at: At,
    /// Its name, as messages show it.
    pub(super) name: &'a str,
    pub(super) report: &'r mut Report,
}

impl<'a, 'r> Fields<'a, 'r> {
    /// Starts with a look at the keys: unknown ones are faults.
    pub(super) fn new(
        table: &'a Table,
        at: At,
        (schema, name): (&Schema, &'a str),
        report: &'r mut Report,
    ) -> Self {
        for entry in table.entries.iter().filter(|e| !schema.known.contains(&e.key.as_str())) {
            report.fault(entry.at, schema.objection(&entry.key, name));
        }
        Self { table, at, name, report }
    }

    /// Without a look at the keys.
    pub(super) fn unchecked(table: &'a Table, at: At, report: &'r mut Report) -> Self {
        Self { table, at, name: "", report }
    }

    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        self.table.entry(key).map(|entry| &entry.node)
    }

    /// Where a key stands; the table itself where it does not.
    pub(super) fn place(&self, key: &str) -> At {
        self.table.entry(key).map_or(self.at, |entry| entry.at)
    }

    pub(super) fn fault(&mut self, key: &str, message: impl Into<String>) {
        self.report.fault(self.place(key), message);
    }

    fn mismatch(&mut self, key: &str, node: &Node, wanted: &str) {
        let message = format!("{key} takes {wanted}, not {}", node.value.kind());
        self.report.fault(node.at, message);
    }

    /// A string and where it stands.
    pub(super) fn string(&mut self, key: &str) -> Option<(&'a str, At)> {
        let node = self.node(key)?;
        let Value::String(text) = &node.value else {
            self.mismatch(key, node, "a string");
            return None;
        };
        Some((text, node.at))
    }

    /// A string that is not empty.
    pub(super) fn path(&mut self, key: &str) -> Option<std::path::PathBuf> {
        let (text, at) = self.string(key)?;
        if text.is_empty() {
            self.report.fault(at, format!("{key} is empty"));
            return None;
        }
        Some(text.into())
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let node = self.node(key)?;
        let Value::Boolean(value) = node.value else {
            self.mismatch(key, node, "true or false");
            return None;
        };
        Some(value)
    }

    pub(super) fn integer(&mut self, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let node = self.node(key)?;
        let Value::Integer(number) = node.value else {
            self.mismatch(key, node, "an integer");
            return None;
        };
        let number = number.and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = range.into_inner();
            self.report.fault(node.at, format!("{key} must be from {least} to {most}"));
        }
        number
    }

    /// A duration above zero, and not so long that clocks overflow by it.
    pub(super) fn duration(&mut self, key: &str) -> Option<Duration> {
        let (text, at) = self.string(key)?;
        let duration = units::duration(text).filter(|duration| !duration.is_zero());
        match duration {
            None => {
                let message = format!("{key} takes a duration like \"5s\", \"1h30m\" or \"7d\"");
                self.report.fault(at, format!("{message}, not {text:?}"));
            }
            Some(long) if long > LONGEST => {
                self.report.fault(at, format!("{key} is longer than 100 years"));
            }
            Some(_) => {}
        }
        duration
    }

    /// Bytes above zero, as a string with a unit or as an integer.
    pub(super) fn size(&mut self, key: &str) -> Option<u64> {
        let node = self.node(key)?;
        let size = match &node.value {
            Value::String(text) => units::size(text),
            Value::Integer(number) => number.and_then(|number| u64::try_from(number).ok()),
            _ => None,
        };
        let size = size.filter(|size| *size > 0);
        if size.is_none() {
            self.report.fault(node.at, format!("{key} takes a size like \"512MiB\" or \"8GiB\""));
        }
        size
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let (text, at) = self.string(key)?;
        choose(self.report, at, key, text, choices)
    }

    /// An array of strings with their places.
    pub(super) fn strings(&mut self, key: &str) -> Vec<(&'a str, At)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let Value::Array(items) = &node.value else {
            self.mismatch(key, node, "an array of strings");
            return Vec::new();
        };
        let mut strings = Vec::new();
        for item in items {
            match &item.value {
                Value::String(text) => strings.push((text.as_str(), item.at)),
                other => {
                    let message = format!("{key} takes strings, not {}", other.kind());
                    self.report.fault(item.at, message);
                }
            }
        }
        strings
    }

    /// An array of strings, each of which `read` understands; the others are faults.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let mut values = Vec::new();
        for (text, at) in self.strings(key) {
            match read(text) {
                Ok(value) => values.push(value),
                Err(why) => self.report.fault(at, format!("{key}: {why}")),
            }
        }
        values
    }

    /// A table below this one.
    pub(super) fn table(&mut self, key: &str) -> Option<(&'a Table, At)> {
        let node = self.node(key)?;
        let Value::Table(table) = &node.value else {
            self.mismatch(key, node, "a table");
            return None;
        };
        Some((table, self.place(key)))
    }
}

/// One of a few words.
pub(super) fn choose<T: Copy>(
    report: &mut Report,
    at: At,
    key: &str,
    text: &str,
    choices: &[(&str, T)],
) -> Option<T> {
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
    let mut message = format!("{key} is {}, not {text:?}", words.join(" or "));
    if let Some(near) = nearest(choices.iter().map(|(word, _)| *word), text) {
        message = format!("{message}; did you mean {near:?}?");
    }
    report.fault(at, message);
    None
}
