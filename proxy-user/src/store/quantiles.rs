//! Durations, so that their quantiles can be told.

use serde::Serialize;

/// Below this a duration has a place of its own.
const EXACT: u64 = 1 << EXACT_BITS;
/// Places for each doubling above: what is told is less than 1 % above what was.
const STEPS: u64 = 1 << 7;
/// Bits of a duration that has a place of its own.
const EXACT_BITS: u32 = 8;
/// Beyond 2^40 ms, 34 years, all are one.
const MOST_BITS: u32 = 40;
const PLACES: usize = (1 << EXACT_BITS) + (MOST_BITS - EXACT_BITS) as usize * (1 << 7);

/// Half, 95 and 99 of a hundred took no longer, milliseconds. Exact below 256, less than
/// 1 % too much above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the quantiles of these names")]
pub struct Quantiles {
    pub p50_ms: u64,
    pub p95_ms: u64,
    pub p99_ms: u64,
}

/// How many took how long.
#[derive(Clone)]
pub(super) struct Histogram {
    counts: Vec<u32>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; PLACES], total: 0 }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, milliseconds: u64) {
        if let Some(count) = self.counts.get_mut(place(milliseconds)) {
            *count = count.saturating_add(1);
            self.total += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.total += other.total;
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
    }

    pub(super) fn quantiles(&self) -> Quantiles {
        Quantiles { p50_ms: self.at(50), p95_ms: self.at(95), p99_ms: self.at(99) }
    }

    /// The smallest duration that so many of a hundred do not exceed.
    fn at(&self, percent: u64) -> u64 {
        let rank = (self.total * percent).div_ceil(100);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return highest(place as u64);
            }
        }
        0
    }
}

fn place(milliseconds: u64) -> usize {
    let milliseconds = milliseconds.min((1 << MOST_BITS) - 1);
    let place = match milliseconds.checked_ilog2() {
        Some(bits) if bits >= EXACT_BITS => {
            let within = ((milliseconds - (1 << bits)) * STEPS) >> bits;
            EXACT + u64::from(bits - EXACT_BITS) * STEPS + within
        }
        _ => milliseconds,
    };
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The longest duration of a place.
fn highest(place: u64) -> u64 {
    let Some(above) = place.checked_sub(EXACT) else { return place };
    let (bits, within) = (above / STEPS + u64::from(EXACT_BITS), above % STEPS);
    (1 << bits) + (((within + 1) << bits) / STEPS) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quantiles_are_exact_or_a_little_above(
            mut durations in prop::collection::vec(
                prop_oneof![0u64..300, 0u64..100_000, 0u64..1 << 39], 1..300),
        ) {
            let mut histogram = Histogram::default();
            for duration in &durations {
                histogram.add(*duration);
            }
            durations.sort_unstable();
            let exact = |percent: usize| durations[(durations.len() * percent).div_ceil(100) - 1];
            let told = histogram.quantiles();
            for (told, exact) in
                [(told.p50_ms, exact(50)), (told.p95_ms, exact(95)), (told.p99_ms, exact(99))]
            {
                prop_assert!(told >= exact, "{told} {exact}");
                let most = if exact < EXACT { 0 } else { exact / 100 };
                prop_assert!(told - exact <= most, "{told} {exact}");
            }
        }
    }

    #[test]
    fn nothing_took_no_time() {
        assert_eq!(Histogram::default().quantiles(), Quantiles::default());
    }

    #[test]
    fn the_longest_has_a_place() {
        let mut histogram = Histogram::default();
        histogram.add(u64::MAX);
        assert_eq!(histogram.quantiles().p50_ms, (1 << MOST_BITS) - 1);
    }
}
