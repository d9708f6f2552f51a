//! Records whose id, or whose request's id, begins with a text.

use uuid::Uuid;

use super::{Bits, Result, Selected, requests};
use crate::store::block::Reader;

/// Places of the hyphens in an id.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
/// Characters of an id.
const LENGTH: usize = 36;

/// Rows of which either id begins with `part`, which is lower case.
pub(super) fn beginning(reader: Reader<'_>, part: &str) -> Result<Selected> {
    let Some((least, most)) = range(part) else { return Ok(Selected::None) };
    let own = own(reader, least, most)?;
    if !reader.may_ask(least, most)? {
        return Ok(own);
    }
    let requests = requests(reader)?;
    if requests.is_none() {
        return Ok(own);
    }
    let ids = reader.request_ids()?;
    let is = |row: usize| row < ids.len() && (least..=most).contains(&ids[row]);
    Ok(own.or(requests.and(Selected::Some(Bits::of_rows(reader.rows(), is)))))
}

/// By the record's own id: rows in a row.
fn own(reader: Reader<'_>, least: Uuid, most: Uuid) -> Result<Selected> {
    let head = &reader.block.head;
    if head.last_id < least || head.first_id > most {
        return Ok(Selected::None);
    }
    if head.first_id >= least && head.last_id <= most {
        return Ok(Selected::All);
    }
    let ids = reader.ids()?;
    let before = least.as_u128().checked_sub(1);
    let from = before.map_or(0, |before| ids.through(Uuid::from_u128(before)));
    let rows = from..ids.through(most);
    Ok(Selected::Some(Bits::of_rows(reader.rows(), |row| rows.contains(&row))))
}

/// The ids that begin so, both ends inclusive; `None` where none does.
fn range(part: &str) -> Option<(Uuid, Uuid)> {
    if part.len() > LENGTH {
        return None;
    }
    let (mut prefix, mut bits) = (0u128, 0);
    for (at, byte) in part.bytes().enumerate() {
        if HYPHENS.contains(&at) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        prefix = prefix << 4 | u128::from(digit);
        bits += 4;
    }
    let below = u128::BITS - bits;
    let least = prefix.checked_shl(below).unwrap_or(0);
    let rest = u128::MAX.checked_shr(bits).unwrap_or(0);
    Some((Uuid::from_u128(least), Uuid::from_u128(least | rest)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_holds_what_is_shown_so(id in any::<u128>(), other in any::<u128>(), cut in 0usize..37) {
            let (id, other) = (Uuid::from_u128(id), Uuid::from_u128(other));
            let part = &id.to_string()[..cut];
            for id in [id, other] {
                let is_in = range(part).is_some_and(|(least, most)| (least..=most).contains(&id));
                prop_assert_eq!(is_in, id.to_string().starts_with(part));
            }
        }
    }

    #[test]
    fn what_is_no_beginning_of_an_id_has_none() {
        for part in ["x", "0g", "01234567a", "0123-", "-"] {
            assert_eq!(range(part), None, "{part}");
        }
    }
}
