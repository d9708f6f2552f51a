//! Reading: pages in any order, and runs in the order of ids.

use std::{cmp::Ordering, collections::BinaryHeap, ops::Bound};

use uuid::Uuid;

use super::{
    Filter, Order, Page, Paging, Query, Sort, Store, StoreError, codec,
    file::{RECORDS, RecordsFile, table},
    partition::Partition,
    series::Kind,
};
use crate::record::{Draft, HttpPart, Record, Source};

/// What records are ordered by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i128),
    Text(String),
    /// Addresses by number, IPv4 before IPv6; what has none comes first.
    Address(Option<std::net::IpAddr>),
}

fn key(sort: Sort, record: &Record) -> Key {
    let draft = &record.draft;
    match sort {
        Sort::Timestamp => Key::Number(draft.timestamp.0.into()),
        Sort::Url => Key::Text(draft.url()),
        Sort::Host => Key::Text(draft.host.to_string()),
        Sort::Method => Key::Text(draft.method().to_owned()),
        Sort::Path => Key::Text(draft.path().to_owned()),
        Sort::StatusCode => Key::Number(draft.status_code().into()),
        Sort::UserId => Key::Text(of_request(draft, |http| &http.user_id).to_owned()),
        Sort::AuthMethod => Key::Text(of_request(draft, |http| http.auth.as_str()).to_owned()),
        Sort::Duration => Key::Number(draft.duration_ms.into()),
        Sort::SourceIp => Key::Address(match draft.source {
            Source::Address(address) => Some(address),
            Source::Many => None,
        }),
        Sort::Reason => Key::Text(draft.reason.map_or("", |reason| reason.as_str()).to_owned()),
        Sort::BytesUpload => Key::Number(draft.bytes_upload.into()),
        Sort::BytesDownload => Key::Number(draft.bytes_download.into()),
    }
}

/// What a request has, and no other record.
fn of_request(draft: &Draft, text: impl Fn(&HttpPart) -> &str) -> &str {
    draft.http.as_deref().map_or("", text)
}

/// A candidate for a page. The greatest is the one that a better one displaces.
struct Candidate {
    place: (Key, Uuid),
    order: Order,
    record: Record,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        directed(self.order, self.place.cmp(&other.place))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

fn directed(order: Order, comparison: Ordering) -> Ordering {
    match order {
        Order::Ascending => comparison,
        Order::Descending => comparison.reverse(),
    }
}

impl Store {
    /// One page of what matches.
    pub fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let after = match &query.paging {
            Paging::Page(_) => None,
            Paging::After(cursor) => {
                let record = self.get(cursor.id)?.ok_or(StoreError::CursorGone(cursor.id))?;
                Some((key(query.sort, &record), record.id))
            }
        };
        let skipped = match query.paging {
            Paging::Page(page) => page.saturating_sub(1).saturating_mul(query.page_size as u64),
            Paging::After(_) => 0,
        };
        let wanted = usize::try_from(skipped).unwrap_or(usize::MAX).saturating_add(query.page_size);
        let mut total = 0;
        let mut remaining = 0;
        let mut heap = BinaryHeap::new();
        self.visit(&query.filter, |record| {
            total += 1;
            let place = (key(query.sort, &record), record.id);
            if after.as_ref().is_some_and(|a| directed(query.order, place.cmp(a)).is_le()) {
                return;
            }
            remaining += 1;
            heap.push(Candidate { place, order: query.order, record });
            if heap.len() > wanted {
                heap.pop();
            }
        })?;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let records: Vec<Record> =
            heap.into_sorted_vec().into_iter().skip(skipped).map(|found| found.record).collect();
        let more = remaining > skipped.saturating_add(records.len());
        let next = records.last().filter(|_| more).map(|last| super::Cursor { id: last.id });
        Ok(Page { records, total, next })
    }

    /// Every record that matches, in the order of partitions.
    pub(super) fn visit(
        &self,
        filter: &Filter,
        mut take: impl FnMut(Record),
    ) -> Result<(), StoreError> {
        for partition in self.partitions()? {
            if may_hold(&partition, filter)? {
                each(&partition, Bound::Unbounded, |record| {
                    if filter.matches(&record) {
                        take(record);
                    }
                    true
                })?;
            }
        }
        Ok(())
    }

    /// The record of that id.
    pub fn get(&self, id: Uuid) -> Result<Option<Record>, StoreError> {
        self.shared.must_be_open()?;
        for kind in Kind::ALL {
            let holder = self.shared.series(kind).read().holder(id);
            let Some(partition) = holder else { continue };
            let found = partition.read(|file| {
                file.read(|read| {
                    let Some(table) = table(read, RECORDS)? else { return Ok(None) };
                    let found = table.get(id.as_u128())?;
                    Ok(found.and_then(|found| codec::decode(id, found.value())))
                })
            })?;
            if let Some(record) = found.flatten() {
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
        let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_u128()));
        let mut found: Vec<Record> = Vec::new();
        for kind in Kind::ALL {
            let partitions = self.shared.series(kind).read().between(after, through);
            let most = found.len().saturating_add(limit);
            for partition in partitions {
                each(&partition, from, |record| {
                    if record.id > through {
                        return false;
                    }
                    if filter.matches(&record) {
                        found.push(record);
                    }
                    found.len() < most
                })?;
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

/// Whether the partition's times meet those asked for.
fn may_hold(partition: &Partition, filter: &Filter) -> Result<bool, StoreError> {
    let Some(bounds) = partition.bounds()? else { return Ok(false) };
    let not_before = [filter.start, filter.active_start].into_iter().flatten();
    Ok(not_before.max().is_none_or(|start| bounds.most >= start.0)
        && filter.end.is_none_or(|end| bounds.least <= end.0)
        && filter.active_end.is_none_or(|end| bounds.first_started <= end.0))
}

/// Records from `from` on, until `take` has enough. What cannot be decoded is passed
/// over: [`Store::verify`] counts it.
fn each(
    partition: &Partition,
    from: Bound<u128>,
    take: impl FnMut(Record) -> bool,
) -> Result<(), StoreError> {
    partition.read(|file| file.each(from, take)).map(|_| ())
}

impl RecordsFile {
    /// Records from `from` on that can be decoded, until `take` has enough.
    pub(super) fn each(
        &self,
        from: Bound<u128>,
        mut take: impl FnMut(Record) -> bool,
    ) -> Result<(), StoreError> {
        self.read(|read| {
            let Some(table) = table(read, RECORDS)? else { return Ok(()) };
            for row in table.range::<u128>((from, Bound::Unbounded))? {
                let (id, bytes) = row?;
                let record = codec::decode(Uuid::from_u128(id.value()), bytes.value());
                if record.is_some_and(|record| !take(record)) {
                    break;
                }
            }
            Ok(())
        })
    }
}
