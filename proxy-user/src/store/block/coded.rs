//! Values by their place in a sorted dictionary.

use std::hash::Hash;

use crate::record::KeyedMap;

/// A column whose values repeat: each value once, in order, and for each row its place.
pub(super) struct Coded<K> {
    pub(super) values: Vec<K>,
    pub(super) codes: Vec<u32>,
}

impl<K: Copy + Ord + Hash> Coded<K> {
    /// The dictionary of these rows.
    pub(super) fn of(rows: impl Iterator<Item = K>) -> Self {
        let mut places: KeyedMap<K, u32> = KeyedMap::default();
        let mut seen: Vec<K> = Vec::new();
        let mut codes = Vec::with_capacity(rows.size_hint().0);
        // Rows in a row often have the same value.
        let mut last = None;
        for row in rows {
            let code = match last {
                Some((value, code)) if value == row => code,
                _ => *places.entry(row).or_insert_with(|| {
                    seen.push(row);
                    place(seen.len() - 1)
                }),
            };
            last = Some((row, code));
            codes.push(code);
        }
        let mut order: Vec<u32> = (0..place(seen.len())).collect();
        order.sort_unstable_by_key(|code| seen[*code as usize]);
        let mut sorted = vec![0; seen.len()];
        for (new, old) in order.iter().enumerate() {
            sorted[*old as usize] = place(new);
        }
        for code in &mut codes {
            *code = sorted[*code as usize];
        }
        Self { values: order.into_iter().map(|code| seen[code as usize]).collect(), codes }
    }

    /// One column behind the other.
    pub(super) fn joined(columns: &[Self]) -> Self {
        let mut all: Vec<(K, usize, u32)> = Vec::new();
        for (column, coded) in columns.iter().enumerate() {
            let values = coded.values.iter().enumerate();
            all.extend(values.map(|(code, value)| (*value, column, place(code))));
        }
        // Runs that are sorted are merged.
        all.sort();
        let mut places: Vec<Vec<u32>> =
            columns.iter().map(|coded| vec![0; coded.values.len()]).collect();
        let mut values: Vec<K> = Vec::new();
        for (value, column, code) in all {
            if values.last() != Some(&value) {
                values.push(value);
            }
            places[column][code as usize] = place(values.len() - 1);
        }
        let codes = columns
            .iter()
            .zip(&places)
            .flat_map(|(coded, places)| coded.codes.iter().map(|code| places[*code as usize]));
        Self { codes: codes.collect(), values }
    }
}

/// A block has far fewer than 2^32 rows.
fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_come_back_and_values_are_in_order(
            parts in prop::collection::vec(prop::collection::vec(0u64..20, 0..50), 1..5),
        ) {
            let joined = Coded::joined(&parts.iter().map(|p| Coded::of(p.iter().copied())).collect::<Vec<_>>());
            let rows = joined.codes.iter().map(|code| joined.values[*code as usize]);
            prop_assert_eq!(rows.collect::<Vec<u64>>(), parts.concat());
            prop_assert!(joined.values.is_sorted_by(|a, b| a < b));
        }
    }
}
