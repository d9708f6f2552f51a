//! Time presets: `range=24h` in a page's address, which the API does not know.

use std::time::{Duration, SystemTime};

use super::link::Pairs;
use crate::record::Timestamp;

/// The parameter. `start_date` and `end_date` take its place.
pub(super) const NAME: &str = "range";
/// Times that say which records without a preset.
pub(super) const MOMENTS: [&str; 4] = ["start_date", "end_date", "active_start", "active_end"];

/// Its value for no bounds.
pub(super) const ALL: &str = "all";

/// Its other values, in words, and how far back they go.
pub(super) const PRESETS: [(&str, &str, Duration); 6] = [
    ("15m", "Last 15 minutes", Duration::from_mins(15)),
    ("1h", "Last hour", Duration::from_hours(1)),
    ("6h", "Last 6 hours", Duration::from_hours(6)),
    ("24h", "Last 24 hours", Duration::from_hours(24)),
    ("7d", "Last 7 days", Duration::from_hours(7 * 24)),
    ("30d", "Last 30 days", Duration::from_hours(30 * 24)),
];

/// The parameters without a preset that times take the place of: a form without script sends
/// the one that it came with beside what was typed.
pub(super) fn settle(pairs: Pairs) -> Pairs {
    let typed = ["start_date", "end_date"].iter().any(|name| pairs.one(name).is_some());
    if typed { pairs.without(&[NAME]) } else { pairs }
}

/// Settled parameters as the API understands them: the preset is a `start_date`.
///
/// # Errors
/// What is wrong with the preset, in the words that the API has for its own.
pub(super) fn resolve(pairs: &Pairs, now: SystemTime) -> Result<Pairs, String> {
    let rest = pairs.without(&[NAME]);
    let Some(given) = pairs.one(NAME).filter(|given| *given != ALL) else { return Ok(rest) };
    let Some((_, _, length)) = PRESETS.iter().find(|(value, _, _)| *value == given) else {
        let known = PRESETS.map(|(value, _, _)| value).join(", ");
        return Err(format!("{NAME}: {given:?} is not one of {ALL}, {known}"));
    };
    let start = now.checked_sub(*length).unwrap_or(SystemTime::UNIX_EPOCH);
    let since = start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let start = Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    Ok(rest.and("start_date", &start.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn resolved(query: &str) -> Result<String, String> {
        let pairs = Pairs::of(&format!("/?{query}").parse().unwrap());
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(48);
        resolve(&settle(pairs), now).map(|pairs| pairs.query())
    }

    #[test]
    fn a_preset_ends_now_and_gives_way_to_bounds_that_were_typed() {
        assert_eq!(
            resolved("range=24h&search=x").unwrap(),
            "search=x&start_date=1970-01-02T00:00:00.000Z"
        );
        assert_eq!(
            resolved("range=1h&start_date=2026-01-01&end_date=2026-01-02").unwrap(),
            "start_date=2026-01-01&end_date=2026-01-02"
        );
        assert_eq!(
            resolved("range=all&end_date=2026-01-02&path=a").unwrap(),
            "end_date=2026-01-02&path=a"
        );
        assert_eq!(resolved("range=all&path=a").unwrap(), "path=a");
        assert_eq!(resolved("start_date=2026-01-01").unwrap(), "start_date=2026-01-01");
        assert_eq!(resolved("search=x").unwrap(), "search=x");
        assert!(resolved("range=2h").unwrap_err().contains("all, 15m, 1h"));
    }
}
