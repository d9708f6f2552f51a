//! The best rows of all blocks, so many of them.

use std::{cmp::Ordering, collections::BinaryHeap, ops::RangeInclusive};

use super::{Locals, Place, key::Key};
use crate::store::{
    Order, Sort, StoreError,
    block::{GROUP, Reader, Times, ordered},
    select::{Selected, set},
};

/// A row that is among the best so far.
pub(in crate::store) struct Found {
    pub(super) place: Place,
    order: Order,
    /// Which block, as the caller counts them.
    pub(in crate::store) block: usize,
    pub(in crate::store) row: usize,
}

/// The greatest is the one that a better one displaces.
impl Ord for Found {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.compare(&other.place, self.order)
    }
}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Found {}

/// The best so many rows of those behind a place.
pub(in crate::store) struct Best {
    order: Order,
    after: Option<Place>,
    wanted: usize,
    heap: BinaryHeap<Found>,
}

/// Which keys of a block are still of use.
struct Useful {
    numbers: Option<RangeInclusive<u64>>,
    /// The key at which the id decides, where no id of the block is good enough.
    lost: Option<u64>,
}

impl Best {
    pub(in crate::store) fn new(order: Order, after: Option<Place>, wanted: usize) -> Self {
        Self { order, after, wanted, heap: BinaryHeap::new() }
    }

    /// The best, in order.
    pub(in crate::store) fn into_sorted(self) -> Vec<Found> {
        self.heap.into_sorted_vec()
    }

    /// Whether rows of a block between these times can be among the best.
    pub(in crate::store) fn may_use(&self, times: &Times, sort: Sort) -> bool {
        if sort != Sort::Timestamp {
            return true;
        }
        let [first, last] = [times.logged.0, times.logged.1].map(|time| Key::Number(ordered(time)));
        let (nearest, farthest) = match self.order {
            Order::Ascending => (first, last),
            Order::Descending => (last, first),
        };
        self.after.as_ref().is_none_or(|after| !before(self.order, &farthest, &after.key))
            && self.worst().is_none_or(|worst| !before(self.order, &worst.key, &nearest))
    }

    /// The last of the best, where there are as many as wanted.
    fn worst(&self) -> Option<&Place> {
        let worst = self.heap.peek().filter(|_| self.heap.len() >= self.wanted);
        worst.map(|found| &found.place)
    }

    /// Looks through the selected rows of a block. Blocks are best looked at in the
    /// direction of the order: where keys are equal, ids decide.
    pub(in crate::store) fn look(
        &mut self,
        reader: Reader<'_>,
        selected: &Selected,
        locals: &Locals,
        block: usize,
    ) -> Result<(), StoreError> {
        let (rows, ids) = (reader.rows(), reader.ids()?);
        let mut group = [0; GROUP];
        let mut useful = self.useful(reader, locals);
        let groups = rows.div_ceil(GROUP);
        for place in 0..groups {
            let place = match self.order {
                Order::Ascending => place,
                Order::Descending => groups - 1 - place,
            };
            let bits = selected.group(place, rows);
            if bits.iter().all(|word| *word == 0) {
                continue;
            }
            locals.group(place, &mut group);
            let candidates: Vec<usize> =
                set(bits).filter(|at| useful.may_be_better(group[*at])).collect();
            let mut is_changed = false;
            for at in self.directed(candidates) {
                let row = place * GROUP + at;
                let own = Place { key: locals.key(group[at]), id: ids.get(row) };
                is_changed |= self.offer(Found { place: own, order: self.order, block, row });
            }
            if is_changed {
                useful = self.useful(reader, locals);
            }
        }
        Ok(())
    }

    fn directed(&self, mut rows: Vec<usize>) -> Vec<usize> {
        if self.order == Order::Descending {
            rows.reverse();
        }
        rows
    }

    /// Keeps a row that is behind the place asked for and among the best. True: what is
    /// kept has changed.
    fn offer(&mut self, found: Found) -> bool {
        let is_behind = |after: &Place| found.place.compare(after, self.order) == Ordering::Greater;
        if !self.after.as_ref().is_none_or(is_behind) {
            return false;
        }
        if self.heap.len() < self.wanted {
            self.heap.push(found);
            return true;
        }
        match self.heap.peek_mut() {
            Some(mut worst) if found < *worst => {
                *worst = found;
                true
            }
            _ => false,
        }
    }

    /// What of a block can still be kept.
    fn useful(&self, reader: Reader<'_>, locals: &Locals) -> Useful {
        let worst = self.worst();
        // Behind `after`, before the worst.
        let (above, below) = match self.order {
            Order::Ascending => (self.after.as_ref(), worst),
            Order::Descending => (worst, self.after.as_ref()),
        };
        let least = above.map_or(0, |place| locals.from(&place.key));
        // A key that is in the block is of use itself: ids decide.
        let most = below.map_or(Some(u64::MAX), |place| {
            locals.find(&place.key).or_else(|| locals.from(&place.key).checked_sub(1))
        });
        let tie = worst.and_then(|place| {
            let head = &reader.block.head;
            let best = match self.order {
                Order::Ascending => &head.first_id,
                Order::Descending => &head.last_id,
            };
            let can_win = before(self.order, best, &place.id);
            locals.find(&place.key).filter(|_| !can_win)
        });
        Useful { numbers: most.map(|most| least..=most), lost: tie }
    }
}

impl Useful {
    fn may_be_better(&self, number: u64) -> bool {
        let is_between = self.numbers.as_ref().is_some_and(|numbers| numbers.contains(&number));
        is_between && self.lost != Some(number)
    }
}

/// Whether one comes before the other.
pub(super) fn before<T: Ord>(order: Order, one: &T, other: &T) -> bool {
    match order {
        Order::Ascending => one < other,
        Order::Descending => one > other,
    }
}
