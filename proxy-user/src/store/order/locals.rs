//! Keys of a block's rows as numbers in the same order: a scan compares numbers, and makes
//! keys only of what it keeps.

use proxy_common::reason::Reason;

use super::key::Key;
use crate::{
    record::{AuthMethod, Protocol, Source},
    store::{
        Sort, StoreError,
        block::{
            Code, Column, GROUP, Number, Packed, Reader, Sources, Text, Texts, partition_point,
        },
        place::{at, place},
    },
};

/// The numbers of a block's rows, and what they stand for.
pub(in crate::store) struct Locals {
    rows: Numbers,
    keys: Keys,
}

/// Each row's number.
enum Numbers {
    Packed(Packed),
    /// By each row's place in a dictionary.
    Ranked(Packed, Vec<u64>),
    Plain(Vec<u64>),
}

/// What numbers stand for.
enum Keys {
    /// Themselves.
    Number,
    Sources(Sources),
    /// Places in a dictionary.
    Values(Vec<u64>),
    Texts(Texts),
    /// Places in what is sorted.
    Sorted(Vec<String>),
}

impl Locals {
    pub(in crate::store) fn of(reader: Reader<'_>, sort: Sort) -> Result<Self, StoreError> {
        match sort {
            Sort::Timestamp => Self::numbers(reader, Number::Timestamp),
            Sort::Duration => Self::numbers(reader, Number::Duration),
            Sort::BytesUpload => Self::numbers(reader, Number::BytesUpload),
            Sort::BytesDownload => Self::numbers(reader, Number::BytesDownload),
            Sort::Host => Self::texts(reader, Text::Host),
            Sort::Method => Self::texts(reader, Text::Method),
            Sort::Path => Self::texts(reader, Text::Path),
            Sort::UserId => Self::texts(reader, Text::UserId),
            Sort::StatusCode => Ok(Self {
                rows: Numbers::Packed(reader.packed(Column::Code(Code::Status))?),
                keys: Keys::Values(reader.values(Code::Status)?),
            }),
            Sort::SourceIp => Ok(Self {
                rows: Numbers::Packed(reader.packed(Column::Source)?),
                keys: Keys::Sources(reader.sources()?),
            }),
            Sort::Reason => Self::named(reader, Code::Reason, |number| {
                Reason::from_number(number).map_or("", |reason| reason.as_str())
            }),
            Sort::AuthMethod => Self::named(reader, Code::AuthMethod, |number| {
                at(&AuthMethod::ALL, number).map_or("", |method| method.as_str())
            }),
            Sort::Url => Self::urls(reader),
        }
    }

    fn numbers(reader: Reader<'_>, number: Number) -> Result<Self, StoreError> {
        Ok(Self { rows: Numbers::Packed(reader.number(number)?), keys: Keys::Number })
    }

    fn texts(reader: Reader<'_>, text: Text) -> Result<Self, StoreError> {
        Ok(Self {
            rows: Numbers::Packed(reader.packed(Column::Text(text))?),
            keys: Keys::Texts(reader.texts(text)?),
        })
    }

    fn named(
        reader: Reader<'_>,
        code: Code,
        name: impl Fn(u8) -> &'static str,
    ) -> Result<Self, StoreError> {
        let names = reader.values(code)?.into_iter();
        let names: Vec<String> =
            names.map(|number| name(u8::try_from(number).unwrap_or(0)).to_owned()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        let rank = |name: &String| sorted.partition_point(|known| known < name) as u64;
        let ranks = names.iter().map(rank).collect();
        Ok(Self {
            rows: Numbers::Ranked(reader.packed(Column::Code(code))?, ranks),
            keys: Keys::Sorted(sorted),
        })
    }

    /// Host and path of HTTP, host and port of the rest: each pair once.
    fn urls(reader: Reader<'_>) -> Result<Self, StoreError> {
        let http = u64::from(place(&Protocol::ALL, &Protocol::Http));
        let codes = |column| Ok(reader.packed(column)?.to_codes());
        let (protocols, protocol) =
            (reader.values(Code::Protocol)?, codes(Column::Code(Code::Protocol))?);
        let (ports, port) =
            (reader.values(Code::ListenPort)?, codes(Column::Code(Code::ListenPort))?);
        let (hosts, host) = (reader.texts(Text::Host)?, codes(Column::Text(Text::Host))?);
        let (paths, path) = (reader.texts(Text::Path)?, codes(Column::Text(Text::Path))?);
        // A row's pair as one number: host, whether it is HTTP, path or port.
        let pair = |row: usize| {
            let is_http = protocols.get(protocol[row] as usize) == Some(&http);
            let second = if is_http { path[row] } else { port[row] };
            u128::from(host[row]) << 64 | u128::from(is_http) << 32 | u128::from(second)
        };
        let half = |pair: u128, from: u32| (pair >> from & 0xffff_ffff) as usize;
        let shown = |texts: &Texts, at: usize| {
            String::from_utf8_lossy(texts.get(at).unwrap_or_default()).into_owned()
        };
        let url = |pair: u128| {
            let (host, second) = (shown(&hosts, half(pair, 64)), half(pair, 0));
            if half(pair, 32) == 1 {
                host + &shown(&paths, second)
            } else {
                format!("{host}:{}", ports.get(second).copied().unwrap_or(0))
            }
        };
        let all: Vec<u128> = (0..reader.rows()).map(pair).collect();
        let mut pairs = all.clone();
        pairs.sort_unstable();
        pairs.dedup();
        let mut urls: Vec<(String, u128)> =
            pairs.into_iter().map(|pair| (url(pair), pair)).collect();
        urls.sort_unstable();
        let mut sorted: Vec<String> = Vec::new();
        let mut ranks = crate::record::KeyedMap::default();
        for (url, pair) in urls {
            if sorted.last() != Some(&url) {
                sorted.push(url);
            }
            ranks.insert(pair, sorted.len() as u64 - 1);
        }
        let rows = all.iter().map(|pair| ranks.get(pair).copied().unwrap_or(0)).collect();
        Ok(Self { rows: Numbers::Plain(rows), keys: Keys::Sorted(sorted) })
    }

    /// The numbers of a group's rows.
    pub(super) fn group(&self, place: usize, out: &mut [u64; GROUP]) {
        match &self.rows {
            Numbers::Packed(packed) => packed.group(place, out),
            Numbers::Ranked(codes, ranks) => {
                codes.group(place, out);
                for number in out {
                    let rank = usize::try_from(*number).ok().and_then(|code| ranks.get(code));
                    *number = rank.copied().unwrap_or(0);
                }
            }
            Numbers::Plain(rows) => {
                let own = rows.get(place * GROUP..).unwrap_or_default();
                out.iter_mut().zip(own).for_each(|(number, own)| *number = *own);
            }
        }
    }

    /// What a number stands for.
    pub(super) fn key(&self, number: u64) -> Key {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let text = |bytes: &[u8]| Key::Text(String::from_utf8_lossy(bytes).into_owned());
        match &self.keys {
            Keys::Number => Key::Number(number),
            Keys::Values(values) => Key::Number(values.get(at).copied().unwrap_or(0)),
            Keys::Texts(texts) => text(texts.get(at).unwrap_or_default()),
            Keys::Sorted(sorted) => text(sorted.get(at).map_or(&[], |known| known.as_bytes())),
            Keys::Sources(sources) => Key::Address(match sources.get(at).map(Source::from) {
                Some(Source::Address(address)) => Some(address),
                Some(Source::Many) | None => None,
            }),
        }
    }

    /// The number that stands for `key`, where one does.
    pub(super) fn find(&self, key: &Key) -> Option<u64> {
        let number = self.from(key);
        (self.key(number) == *key).then_some(number)
    }

    /// The smallest number whose key is not less than `key`.
    pub(super) fn from(&self, key: &Key) -> u64 {
        let before =
            |len: usize, is_less: &dyn Fn(usize) -> bool| partition_point(0..len, is_less) as u64;
        match (&self.keys, key) {
            (Keys::Number, Key::Number(number)) => *number,
            (Keys::Values(values), Key::Number(number)) => {
                before(values.len(), &|at| values[at] < *number)
            }
            (Keys::Texts(texts), Key::Text(text)) => texts.before(text.as_bytes()) as u64,
            (Keys::Sorted(sorted), Key::Text(text)) => {
                before(sorted.len(), &|at| sorted[at] < *text)
            }
            (Keys::Sources(sources), Key::Address(address)) => {
                sources.before(address.map_or(Source::Many, Source::Address)) as u64
            }
            // Keys of one sort are of one kind.
            _ => 0,
        }
    }
}
