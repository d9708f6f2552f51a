//! Far pages: which record is the n-th, without holding n records.

use super::{Best, Locals, Place, best::before};
use crate::store::{
    Order, StoreError,
    block::{GROUP, Reader},
    select::{Selected, set},
};

/// Records that are held at once while a page is looked for.
pub(in crate::store) const HELD: usize = if cfg!(test) { 50 } else { 100_000 };
/// Places that are looked at to guess where a record is.
const SAMPLE: usize = if cfg!(test) { 40 } else { 4000 };
/// A guess is put so far before what is looked for, of 4000 places: three times what it may
/// be wrong by.
const MARGIN: usize = SAMPLE / 40;

/// Called with a block, its selected rows, their keys, and which block it is.
pub(in crate::store) type Look<'a> =
    &'a mut dyn FnMut(Reader<'_>, &Selected, &Locals, usize) -> Result<(), StoreError>;

/// What goes through the selected rows of all blocks, in the direction of the order.
pub(in crate::store) trait Scan {
    fn each(&self, look: Look<'_>) -> Result<(), StoreError>;
}

/// Where to go on so that only `skip` records are left to be passed over, no more than
/// [`HELD`].
pub(in crate::store) struct Approach {
    pub(in crate::store) after: Option<Place>,
    pub(in crate::store) skip: usize,
}

/// Comes near the record that `skip` of `total` are before.
pub(in crate::store) fn approach(
    scan: &impl Scan,
    order: Order,
    skip: usize,
    total: usize,
) -> Result<Approach, StoreError> {
    let mut near = Approach { after: None, skip };
    let mut left = total;
    while near.skip >= HELD && near.skip < left {
        let guess = guess(scan, order, &near, left)?;
        let passed = guess.as_ref().map(|to| passed(scan, order, near.after.as_ref(), to));
        let passed = passed.transpose()?.unwrap_or(0);
        if (1..=near.skip).contains(&passed) {
            near = Approach { after: guess, skip: near.skip - passed };
            left -= passed;
            continue;
        }
        // The guess was wrong: on by as many as can be held.
        let mut best = Best::new(order, near.after.take(), HELD);
        scan.each(&mut |reader, selected, locals, block| {
            best.look(reader, selected, locals, block)
        })?;
        let last = best.into_sorted().pop();
        near = Approach { after: last.map(|found| found.place), skip: near.skip - HELD };
        left -= HELD;
    }
    Ok(near)
}

/// A place somewhat before the one that is looked for, by a sample of what is left.
fn guess(
    scan: &impl Scan,
    order: Order,
    near: &Approach,
    left: usize,
) -> Result<Option<Place>, StoreError> {
    let stride = (left / SAMPLE).max(1);
    let (mut sample, mut seen): (Vec<Place>, usize) = (Vec::new(), 0);
    scan.each(&mut |reader, selected, locals, _| {
        let ids = reader.ids()?;
        behind(reader, selected, locals, order, near.after.as_ref(), |row, number| {
            if seen.is_multiple_of(stride) {
                sample.push(Place { key: locals.key(number), id: ids.get(row) });
            }
            seen += 1;
        })
    })?;
    sample.sort_by(|a, b| a.compare(b, order));
    let at = (near.skip as u128 * sample.len() as u128 / left.max(1) as u128).try_into();
    let at = at.unwrap_or(usize::MAX).saturating_sub(MARGIN);
    Ok(if at < sample.len() { Some(sample.swap_remove(at)) } else { None })
}

/// How many are behind `after`, up to and including `to`.
fn passed(
    scan: &impl Scan,
    order: Order,
    after: Option<&Place>,
    to: &Place,
) -> Result<usize, StoreError> {
    let (mut all, mut beyond) = (0, 0);
    scan.each(&mut |reader, selected, locals, _| {
        behind(reader, selected, locals, order, after, |_, _| all += 1)?;
        behind(reader, selected, locals, order, Some(to), |_, _| beyond += 1)
    })?;
    Ok(all - beyond)
}

/// Selected rows that are behind a place, and their numbers.
fn behind(
    reader: Reader<'_>,
    selected: &Selected,
    locals: &Locals,
    order: Order,
    after: Option<&Place>,
    mut take: impl FnMut(usize, u64),
) -> Result<(), StoreError> {
    let from = after.map_or(0, |place| locals.from(&place.key));
    let own = after.and_then(|place| locals.find(&place.key));
    let ids = reader.ids()?;
    let mut group = [0; GROUP];
    for place in 0..reader.rows().div_ceil(GROUP) {
        let bits = selected.group(place, reader.rows());
        if bits.iter().all(|word| *word == 0) {
            continue;
        }
        locals.group(place, &mut group);
        for at in set(bits) {
            let (row, number) = (place * GROUP + at, group[at]);
            let is_behind = match after {
                None => true,
                Some(after) if own == Some(number) => before(order, &after.id, &ids.get(row)),
                Some(_) => match order {
                    Order::Ascending => number >= from,
                    Order::Descending => number < from,
                },
            };
            if is_behind {
                take(row, number);
            }
        }
    }
    Ok(())
}
