//! `search`: one text in all that a record may be known by.

use super::{Result, Selected, addresses, coded, ids, requests, words};
use crate::store::block::{Column, Reader, Text, Texts};

/// Rows of which host, path, host and path, user id or e-mail contain `part`, or id, request
/// id or client begin with it. It is lower case.
pub(super) fn found(reader: Reader<'_>, part: &str) -> Result<Selected> {
    let (hosts, paths) = (reader.texts(Text::Host)?, reader.texts(Text::Path)?);
    let of = |text: Text, hits: &[bool]| coded(reader, Column::Text(text), hits);
    let mut found = of(Text::Host, &words::hits(&hosts, part.as_bytes()))?;
    found = found.or(of(Text::Path, &words::hits(&paths, part.as_bytes()))?);
    found = found.or(across(reader, &hosts, &paths, part)?);
    found = found.or(addresses::beginning(reader, part)?);
    found = found.or(ids::beginning(reader, part)?);
    let user = words::containing(reader, Text::UserId, part)?;
    let user = user.or(words::containing(reader, Text::UserEmail, part)?);
    if !user.is_none() {
        found = found.or(user.and(requests(reader)?));
    }
    Ok(found)
}

/// Rows where the part begins in the host and ends in the path.
fn across(reader: Reader<'_>, hosts: &Texts, paths: &Texts, part: &str) -> Result<Selected> {
    let mut found = Selected::None;
    for (cut, _) in part.char_indices().skip(1) {
        let (end, begin) = (&part.as_bytes()[..cut], &part.as_bytes()[cut..]);
        let hosts: Vec<bool> = hosts.iter().map(|host| words::lower(host).ends_with(end)).collect();
        if !hosts.contains(&true) {
            continue;
        }
        let paths: Vec<bool> =
            paths.iter().map(|path| words::lower(path).starts_with(begin)).collect();
        let rows = coded(reader, Column::Text(Text::Host), &hosts)?;
        found = found.or(rows.and(coded(reader, Column::Text(Text::Path), &paths)?));
    }
    Ok(found)
}
