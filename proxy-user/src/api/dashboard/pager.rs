//! From page to page.

use super::{chips::PAGING, link::Pairs, words};
use crate::{
    api::params::MAX_REACH,
    store::{Order, Page, Paging, Query, Sort},
};

/// Where a page is, and what is before and behind it.
pub(super) struct Pager {
    /// "51 to 100 of 1,234".
    pub(super) shown: String,
    pub(super) first: Option<String>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
}

impl Pager {
    /// Of records.
    pub(super) fn of(query: &Query, found: &Page, pairs: &Pairs, path: &str) -> Self {
        let size = query.page_size as u64;
        match &query.paging {
            Paging::Page(page) => {
                let within = page.saturating_add(1).saturating_mul(size) <= MAX_REACH;
                let mut pager = Self::numbered(*page, query.page_size, found.total, pairs, path);
                if !within || grows_in_front(query) {
                    pager.next = behind(found, pairs, path);
                }
                pager
            }
            Paging::After(_) => Self {
                shown: format!("{} of {}", found.records.len(), words::number(found.total)),
                first: Some(pairs.without(&PAGING).to(path)),
                previous: None,
                next: behind(found, pairs, path),
            },
        }
    }

    /// Of a list with numbered pages.
    pub(super) fn numbered(page: u64, size: usize, total: u64, pairs: &Pairs, path: &str) -> Self {
        let size = size as u64;
        let before = page.saturating_sub(1).saturating_mul(size).min(total);
        let end = before.saturating_add(size).min(total);
        let to = |page: u64| match page {
            1 => pairs.without(&PAGING).to(path),
            _ => pairs.without(&PAGING).and("page", &page.to_string()).to(path),
        };
        let shown = match total {
            0 => "none".to_owned(),
            _ if before == end => format!("none here, of {}", words::number(total)),
            _ => format!(
                "{} to {} of {}",
                words::number(before + 1),
                words::number(end),
                words::number(total)
            ),
        };
        Self {
            shown,
            first: (page > 2).then(|| to(1)),
            previous: (page > 1).then(|| to(page - 1)),
            next: (end < total && before < end).then(|| to(page + 1)),
        }
    }
}

/// Whether new records come before those of a page, which would be on the next one again.
fn grows_in_front(query: &Query) -> bool {
    query.sort == Sort::Timestamp && query.order == Order::Descending && query.filter.end.is_none()
}

fn behind(found: &Page, pairs: &Pairs, path: &str) -> Option<String> {
    let cursor = found.next.as_ref()?;
    Some(pairs.without(&PAGING).and("cursor", &cursor.id.to_string()).to(path))
}
