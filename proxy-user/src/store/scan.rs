//! Reading: pages in any order, and runs in the order of ids.

use std::collections::{BTreeMap, btree_map::Entry};

use uuid::Uuid;

use super::{
    Cursor, Filter, Order, Page, Paging, Query, Store, StoreError,
    block::{GROUP, Reader, Rows},
    order::{Approach, Best, Found, HELD, Locals, Look, Place, Scan, approach, key},
    select::{Selected, set},
    series::Kind,
    view::View,
};
use crate::record::Record;

impl Store {
    /// One page of what matches.
    pub fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let (skipped, after) = match &query.paging {
            Paging::Page(page) => {
                (page.saturating_sub(1).saturating_mul(query.page_size as u64), None)
            }
            Paging::After(cursor) => {
                let record = self.get(cursor.id)?.ok_or(StoreError::CursorGone(cursor.id))?;
                (0, Some(Place { key: key(query.sort, &record), id: record.id }))
            }
        };
        let views = self.views()?;
        let asked = Asked { query, blocks: in_order(&views, query.order), views };
        let _turn = self.shared.turns.take();
        let skip = usize::try_from(skipped).unwrap_or(usize::MAX);
        let mut near = Approach { after, skip };
        if skip >= HELD {
            let total = asked.total()?;
            if skip >= total {
                return Ok(Page { records: Vec::new(), total: total as u64, next: None });
            }
            near = approach(&asked, query.order, skip, total)?;
        }
        asked.page(near)
    }

    /// What each partition holds now.
    pub(super) fn views(&self) -> Result<Vec<View>, StoreError> {
        let views = self.partitions()?.into_iter().map(View::of);
        views.filter_map(Result::transpose).collect()
    }

    /// The rows that match, block by block.
    pub(super) fn visit(
        &self,
        filter: &Filter,
        mut take: impl FnMut(Reader<'_>, &Selected) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for view in self.views()? {
            for block in 0..view.content.blocks.len() {
                let Some(reader) = view.reader(block)? else { break };
                let selected = filter.select(reader)?;
                if selected.count(reader.rows()) > 0 {
                    take(reader, &selected)?;
                }
            }
        }
        Ok(())
    }

    /// The record of that id.
    pub fn get(&self, id: Uuid) -> Result<Option<Record>, StoreError> {
        self.shared.must_be_open()?;
        for kind in Kind::ALL {
            let holder = self.shared.series(kind).read().holder(id);
            let Some(view) = holder.map(View::of).transpose()?.flatten() else { continue };
            let holds = |block: usize| {
                let head = &view.content.blocks[block].head;
                (head.first_id..=head.last_id).contains(&id)
            };
            let Some(block) = (0..view.content.blocks.len()).find(|block| holds(*block)) else {
                continue;
            };
            let Some(reader) = view.reader(block)? else { continue };
            let rows = Rows::of(reader)?;
            if let Some(record) = rows.find(id).and_then(|row| rows.record(row)) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// At most `limit` matching records above `after`, up to and including `through`,
    /// in the order of their ids. Fewer mean that there are no more: what cannot be
    /// read is an error, never passed over.
    pub fn after(
        &self,
        after: Option<Uuid>,
        through: Uuid,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.shared.must_be_open()?;
        let mut found: Vec<Record> = Vec::new();
        for kind in Kind::ALL {
            let partitions = self.shared.series(kind).read().between(after, through);
            let most = found.len().saturating_add(limit);
            for partition in partitions {
                let Some(view) = View::of(partition)? else { continue };
                read_on(&view, after, through, filter, most, &mut found)?;
                if found.len() >= most {
                    break;
                }
            }
        }
        // The two kinds lie side by side.
        found.sort_by_key(|record| record.id);
        found.truncate(limit);
        Ok(found)
    }
}

/// A view among others, and a block of it.
type At = (usize, usize);

/// A question, and what it is asked of.
struct Asked<'a> {
    query: &'a Query,
    views: Vec<View>,
    /// All blocks in the direction of the order.
    blocks: Vec<At>,
}

impl Asked<'_> {
    /// Each block's selected rows, where there are any.
    fn selected(
        &self,
        mut take: impl FnMut(Reader<'_>, &Selected, usize) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for (at, (view, block)) in self.blocks.iter().enumerate() {
            let Some(reader) = self.views[*view].reader(*block)? else { continue };
            let selected = self.query.filter.select(reader)?;
            if selected.count(reader.rows()) > 0 {
                take(reader, &selected, at)?;
            }
        }
        Ok(())
    }

    /// How many match.
    fn total(&self) -> Result<usize, StoreError> {
        let mut total = 0;
        self.selected(|reader, selected, _| {
            total += selected.count(reader.rows());
            Ok(())
        })?;
        Ok(total)
    }

    /// The page behind a place, after so many more.
    fn page(&self, near: Approach) -> Result<Page, StoreError> {
        let Query { sort, order, page_size, .. } = *self.query;
        // One more tells whether there is a next page.
        let mut best = Best::new(order, near.after, near.skip + page_size + 1);
        let mut total = 0;
        self.selected(|reader, selected, at| {
            total += selected.count(reader.rows()) as u64;
            if best.may_use(&reader.block.head.times, sort) {
                best.look(reader, selected, &Locals::of(reader, sort)?, at)?;
            }
            Ok(())
        })?;
        let mut found: Vec<Found> = best.into_sorted().into_iter().skip(near.skip).collect();
        let has_more = found.len() > page_size;
        found.truncate(page_size);
        let records = self.read(&found)?;
        let next = records.last().filter(|_| has_more).map(|last| Cursor { id: last.id });
        Ok(Page { records, total, next })
    }

    /// The records that were found: each block is read once.
    fn read(&self, found: &[Found]) -> Result<Vec<Record>, StoreError> {
        let mut blocks: BTreeMap<usize, Option<Rows>> = BTreeMap::new();
        let mut records = Vec::with_capacity(found.len());
        for one in found {
            let rows = match blocks.entry(one.block) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(free) => {
                    let (view, block) = self.blocks[one.block];
                    free.insert(self.views[view].reader(block)?.map(Rows::of).transpose()?)
                }
            };
            records.extend(rows.as_ref().and_then(|rows| rows.record(one.row)));
        }
        Ok(records)
    }
}

impl Scan for Asked<'_> {
    fn each(&self, look: Look<'_>) -> Result<(), StoreError> {
        self.selected(|reader, selected, at| {
            look(reader, selected, &Locals::of(reader, self.query.sort)?, at)
        })
    }
}

/// All blocks in the direction of an order, by their ids.
fn in_order(views: &[View], order: Order) -> Vec<At> {
    let mut blocks: Vec<(Uuid, At)> = Vec::new();
    for (at, view) in views.iter().enumerate() {
        let own = view.content.blocks.iter().enumerate();
        blocks.extend(own.map(|(block, known)| (known.head.first_id, (at, block))));
    }
    blocks.sort_unstable();
    if order == Order::Descending {
        blocks.reverse();
    }
    blocks.into_iter().map(|(_, at)| at).collect()
}

/// Appends matching records of a view until there are `most`.
fn read_on(
    view: &View,
    after: Option<Uuid>,
    through: Uuid,
    filter: &Filter,
    most: usize,
    found: &mut Vec<Record>,
) -> Result<(), StoreError> {
    for (place, block) in view.content.blocks.iter().enumerate() {
        let head = &block.head;
        if after.is_some_and(|after| head.last_id <= after) || head.first_id > through {
            continue;
        }
        let Some(reader) = view.reader(place)? else { return Ok(()) };
        let selected = filter.select(reader)?;
        if selected.count(reader.rows()) == 0 {
            continue;
        }
        let rows = Rows::of(reader)?;
        let from = after.map_or(0, |after| rows.through(after));
        let to = rows.through(through);
        for group in from / GROUP..to.div_ceil(GROUP) {
            for row in set(selected.group(group, to)).map(|at| group * GROUP + at) {
                if row >= from {
                    found.extend(rows.record(row));
                }
                if found.len() >= most {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}
