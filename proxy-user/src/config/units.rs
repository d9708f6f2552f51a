//! Durations and sizes as people write them.

use std::time::Duration;

const DURATIONS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];
const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// `"90s"`, `"1h30m"`, `"7d"`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut milliseconds = 0u64;
    while !rest.is_empty() {
        let (number, after) = leading_number(rest)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        milliseconds = milliseconds.checked_add(scaled(number, unit, &DURATIONS)?)?;
        rest = next;
    }
    (!text.is_empty()).then(|| Duration::from_millis(milliseconds))
}

/// `"8GiB"`, `"500MB"`, in bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = leading_number(text)?;
    scaled(number, unit.trim_start(), &SIZES)
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

fn scaled(number: u64, unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_write() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(duration("7d"), Some(Duration::from_hours(168)));
        assert_eq!(size("8GiB"), Some(8 << 30));
        assert_eq!(size("500 MB"), Some(500_000_000));
        for bad in ["", "5", "s", "5 s", "5x", "-5s", "1.5h", "99999999999999999999s"] {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
        for bad in ["", "8", "GiB", "8gib", "99999999TiB"] {
            assert_eq!(size(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,40}") {
            duration(&text);
            size(&text);
        }
    }
}
