//! Moments and days.

use jiff::civil::{Date, DateTime};

use super::value::bad;
use crate::{api::error::ApiError, record::Timestamp};

/// Which end of a day a date without a time stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// Its first millisecond.
    Start,
    /// Its last.
    End,
}

/// An RFC 3339 time, or a whole day in UTC.
pub(super) fn date(name: &str, value: &str, edge: Edge) -> Result<Timestamp, ApiError> {
    let moment = if is_day(value) {
        day(value, edge)
    } else if is_rfc3339(value) {
        value.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
    } else {
        None
    };
    moment.map(Timestamp).ok_or_else(|| {
        let hint = if value.contains(' ') { " (in a URL + is written %2B)" } else { "" };
        bad(name, value, &format!("a time by RFC 3339 or a day as YYYY-MM-DD{hint}"))
    })
}

fn day(value: &str, edge: Edge) -> Option<i64> {
    let date: Date = value.parse().ok()?;
    let moment: DateTime = match edge {
        Edge::Start => date.at(0, 0, 0, 0),
        Edge::End => date.at(23, 59, 59, 999_000_000),
    };
    let zoned = moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

fn is_day(value: &str) -> bool {
    has_shape(value, "0000-00-00")
}

/// The parser of times takes more than RFC 3339 does.
fn is_rfc3339(value: &str) -> bool {
    let Some((time, rest)) = value.split_at_checked("0000-00-00T00:00:00".len()) else {
        return false;
    };
    let offset = match rest.strip_prefix('.') {
        Some(rest) => {
            let offset = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            if offset.len() == rest.len() {
                return false;
            }
            offset
        }
        None => rest,
    };
    has_shape(&time.to_ascii_uppercase(), "0000-00-00T00:00:00")
        && (offset.eq_ignore_ascii_case("z")
            || has_shape(offset, "+00:00")
            || has_shape(offset, "-00:00"))
}

/// Whether `value` is `shape`, where 0 stands for a digit.
fn has_shape(value: &str, shape: &str) -> bool {
    value.len() == shape.len()
        && value.bytes().zip(shape.bytes()).all(|(value, shape)| match shape {
            b'0' => value.is_ascii_digit(),
            _ => value == shape,
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn at(value: &str, edge: Edge) -> String {
        date("start_date", value, edge).unwrap().to_string()
    }

    #[test]
    fn a_day_is_whole_and_an_offset_is_applied() {
        assert_eq!(at("2026-02-28", Edge::Start), "2026-02-28T00:00:00.000Z");
        assert_eq!(at("2026-02-28", Edge::End), "2026-02-28T23:59:59.999Z");
        assert_eq!(at("2026-02-28T10:00:00Z", Edge::End), "2026-02-28T10:00:00.000Z");
        assert_eq!(at("2026-02-28t10:00:00.25+02:00", Edge::End), "2026-02-28T08:00:00.250Z");
    }

    #[test]
    fn what_is_neither_is_refused() {
        for value in [
            "yesterday",
            "2026-02-30",
            "2026-2-3",
            "20260228",
            "2026-02-28T10:00Z",
            "2026-02-28T10:00:00",
            "2026-02-28T10:00:00.Z",
            "2026-02-28T25:00:00Z",
            "2026-02-28T10:00:00+02:00[Europe/Berlin]",
            "2026-02-28 10:00:00Z",
            "2026-02-2éT10:00:00Z",
        ] {
            let error = date("start_date", value, Edge::Start).unwrap_err();
            assert!(error.message.contains("start_date"), "{}", error.message);
        }
    }

    #[test]
    fn an_unencoded_plus_is_explained() {
        let error = date("end_date", "2026-02-28T10:00:00 02:00", Edge::End).unwrap_err();
        assert!(error.message.contains("%2B"), "{}", error.message);
    }
}
