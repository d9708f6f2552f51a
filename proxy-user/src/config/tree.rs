//! The raw TOML: values with their places, merged over several files.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::fault::{At, Report};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    String(String),
    /// `None`: beyond 64 bits.
    Integer(Option<i64>),
    Boolean(bool),
    Array(Vec<Node>),
    Table(Table),
    /// A float or a date, which no key takes.
    Other(&'static str),
}

impl Value {
    /// The kind, with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// Keys in the order of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Of the key.
    pub(super) at: At,
    pub(super) node: Node,
}

impl Table {
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Takes over what `other` holds. Tables and arrays of tables come together; any
    /// other key that both hold is a fault.
    pub(super) fn merge(&mut self, other: Self, report: &mut Report) {
        for entry in other.entries {
            let Some(known) = self.entries.iter_mut().find(|known| known.key == entry.key) else {
                self.entries.push(entry);
                continue;
            };
            match (&mut known.node.value, entry.node.value) {
                (Value::Table(ours), Value::Table(theirs)) => ours.merge(theirs, report),
                (Value::Array(ours), Value::Array(theirs))
                    if ours.iter().chain(&theirs).all(|n| matches!(n.value, Value::Table(_))) =>
                {
                    ours.extend(theirs);
                }
                _ => {
                    let place = report.place(known.at);
                    report.fault(entry.at, format!("{:?} is set at {place} already", entry.key));
                }
            }
        }
    }
}

/// Parses one file, which is number `file` of the report's.
pub(super) fn parse(file: usize, text: &str, report: &mut Report) -> Table {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        report.fault(At { file, offset }, error.message().replace('\n', "; "));
    }
    if errors.is_empty() { convert_table(file, table.get_ref()) } else { Table::default() }
}

fn convert_table(file: usize, table: &DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().clone().into_owned(),
            at: At { file, offset: key.span().start },
            node: convert(file, value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.at);
    Table { entries }
}

fn convert(file: usize, value: &Spanned<DeValue<'_>>) -> Node {
    let at = At { file, offset: value.span().start };
    let value = match value.get_ref() {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            Value::Integer(i64::from_str_radix(&digits, number.radix()).ok())
        }
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| convert(file, item)).collect())
        }
        DeValue::Table(table) => Value::Table(convert_table(file, table)),
        DeValue::Float(_) => Value::Other("a float"),
        DeValue::Datetime(_) => Value::Other("a date"),
    };
    Node { at, value }
}
