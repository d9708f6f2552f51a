//! Which rows of a block a filter selects, column by column. What it decides by a column's
//! dictionary it decides once for all rows.

mod addresses;
mod bits;
mod ids;
mod search;
mod words;

use ipnet::IpNet;
use proxy_common::{country::Country, reason::Reason};

use super::{
    Filter, Status, StoreError,
    block::{Code, Column, Number, Reader, Text, ordered, started, timestamp},
    place::place,
};
use crate::record::{AuthMethod, Protocol, Timestamp, Verdict};
use bits::Bits;
pub(super) use bits::{Selected, set};

type Result<T> = std::result::Result<T, StoreError>;

/// One step: what a part of a filter selects.
type Step = fn(&Filter, Reader<'_>) -> Result<Selected>;

/// What is decided with the least work comes first.
const STEPS: [Step; 18] = [
    times,
    by_verdict,
    by_protocol,
    by_service,
    by_reason,
    by_country,
    by_status_code,
    by_method,
    by_auth_method,
    by_observed,
    by_host,
    by_source,
    by_user,
    by_status,
    by_email,
    by_path,
    began,
    search_text,
];

impl Filter {
    /// Rows of a block that match every field that is set.
    pub(super) fn select(&self, reader: Reader<'_>) -> Result<Selected> {
        let mut selected = Selected::All;
        for step in STEPS {
            selected = selected.and(step(self, reader)?);
            if selected.is_none() {
                break;
            }
        }
        Ok(selected)
    }
}

/// Rows whose code is one that `is` holds of.
fn code(reader: Reader<'_>, code: Code, is: impl Fn(u64) -> bool) -> Result<Selected> {
    let hits: Vec<bool> = reader.values(code)?.into_iter().map(is).collect();
    coded(reader, Column::Code(code), &hits)
}

/// Rows whose text is one that `is` holds of.
fn text(reader: Reader<'_>, text: Text, is: impl Fn(&[u8]) -> bool) -> Result<Selected> {
    let hits: Vec<bool> = reader.texts(text)?.iter().map(is).collect();
    coded(reader, Column::Text(text), &hits)
}

/// Rows whose place in the column's dictionary is a hit.
fn coded(reader: Reader<'_>, column: Column, hits: &[bool]) -> Result<Selected> {
    let count = hits.iter().filter(|hit| **hit).count();
    Selected::by(count, hits.len(), || Ok(Bits::of_codes(&reader.packed(column)?, hits)))
}

fn times(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    let from = [filter.start, filter.active_start].into_iter().flatten().max();
    let (least, most) = reader.block.head.times.logged;
    let (from, to) = (from.unwrap_or(least), filter.end.unwrap_or(most));
    if most < from || least > to {
        return Ok(Selected::None);
    }
    if least >= from && most <= to {
        return Ok(Selected::All);
    }
    let (from, to) = (ordered(from), ordered(to));
    let logged = reader.number(Number::Timestamp)?;
    Ok(Selected::Some(Bits::of_numbers(&logged, |time| (from..=to).contains(&time))))
}

/// What had begun by the end of a window.
fn began(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    let Some(end) = filter.active_end else { return Ok(Selected::All) };
    let (least, most) = reader.block.head.times.started;
    if least > end {
        return Ok(Selected::None);
    }
    if most <= end {
        return Ok(Selected::All);
    }
    let [logged, duration, before] =
        [Number::Timestamp, Number::Duration, Number::StartedBefore].map(|n| reader.number(n));
    let [logged, duration, before] = [logged?.to_vec(), duration?.to_vec(), before?.to_vec()];
    let start =
        |row: usize| -> Timestamp { started(timestamp(logged[row]), duration[row], before[row]) };
    let rows = reader.rows();
    Ok(Selected::Some(Bits::of_rows(rows, |row| row < rows && start(row) <= end)))
}

/// Rows whose code is that of one of a list; an empty list asks for nothing.
fn listed<T>(
    reader: Reader<'_>,
    column: Code,
    list: &[T],
    number: impl Fn(&T) -> u64,
) -> Result<Selected> {
    if list.is_empty() {
        return Ok(Selected::All);
    }
    let asked: Vec<u64> = list.iter().map(number).collect();
    code(reader, column, |value| asked.contains(&value))
}

fn by_verdict(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    listed(reader, Code::Verdict, &filter.verdict, |v| place(&Verdict::ALL, v).into())
}

fn by_protocol(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    listed(reader, Code::Protocol, &filter.protocol, |p| place(&Protocol::ALL, p).into())
}

fn by_reason(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    listed(reader, Code::Reason, &filter.reason, |reason: &Reason| *reason as u64)
}

fn by_country(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    listed(reader, Code::Country, &filter.country_code, |country: &Country| {
        country.to_stored().into()
    })
}

fn by_status_code(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    listed(reader, Code::Status, &filter.status_code, |status| (*status).into())
}

fn by_auth_method(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    listed(reader, Code::AuthMethod, &filter.auth_method, |m| place(&AuthMethod::ALL, m).into())
}

fn by_observed(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    let Some(asked) = filter.observed else { return Ok(Selected::All) };
    code(reader, Code::ObservedReason, |reason| asked == (reason != 0))
}

fn by_service(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    exact(reader, Text::Service, &filter.service_id, |asked, known| asked.as_bytes() == known)
}

fn by_method(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    exact(reader, Text::Method, &filter.method, |asked, known| {
        asked.as_bytes().eq_ignore_ascii_case(known)
    })
}

fn exact(
    reader: Reader<'_>,
    column: Text,
    list: &[String],
    is: impl Fn(&str, &[u8]) -> bool,
) -> Result<Selected> {
    if list.is_empty() {
        return Ok(Selected::All);
    }
    text(reader, column, |known| list.iter().any(|asked| is(asked, known)))
}

/// Of requests: no other record has a user.
fn by_user(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    if filter.user_id.is_empty() {
        return Ok(Selected::All);
    }
    let users = exact(reader, Text::UserId, &filter.user_id, |asked, known| {
        words::lower(known) == asked.as_bytes()
    })?;
    if users.is_none() { Ok(users) } else { Ok(users.and(requests(reader)?)) }
}

/// Requests, and no other records.
fn requests(reader: Reader<'_>) -> Result<Selected> {
    code(reader, Code::AuthMethod, |method| method != 0)
}

fn by_host(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    if filter.host.is_empty() {
        return Ok(Selected::All);
    }
    let named = |name: &str| text(reader, Text::Host, |h| name.as_bytes().eq_ignore_ascii_case(h));
    let mut selected = Selected::None;
    for asked in &filter.host {
        selected = selected.or(named(asked)?);
        if let Some((name, port)) = asked.rsplit_once(':')
            && let Ok(port) = port.parse::<u16>()
        {
            let at_port = code(reader, Code::ListenPort, |known| known == u64::from(port))?;
            selected = selected.or(named(name)?.and(at_port));
        }
    }
    Ok(selected)
}

fn by_source(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    if filter.source_ip.is_empty() {
        return Ok(Selected::All);
    }
    let sources = reader.sources()?;
    let mut selected = Selected::None;
    for prefix in filter.source_ip.iter().map(IpNet::trunc) {
        let places = sources.within(&prefix);
        let rows = || Ok(Bits::of_range(&reader.packed(Column::Source)?, &places));
        selected = selected.or(Selected::by(places.len(), sources.len(), rows)?);
    }
    Ok(selected)
}

/// Allowed, and for HTTP below 400.
fn by_status(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    let Some(asked) = filter.status else { return Ok(Selected::All) };
    let allowed = u64::from(place(&Verdict::ALL, &Verdict::Allowed));
    let http = u64::from(place(&Protocol::ALL, &Protocol::Http));
    let mut success = code(reader, Code::Verdict, |verdict| verdict == allowed)?;
    if !success.is_none() {
        let answered = code(reader, Code::Status, |status| status < 400)?;
        let answered = answered.or(code(reader, Code::Protocol, |protocol| protocol != http)?);
        success = success.and(answered);
    }
    Ok(if asked == Status::Success { success } else { success.not(reader.rows()) })
}

fn by_email(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    filter
        .user_email
        .as_ref()
        .map_or(Ok(Selected::All), |part| words::containing(reader, Text::UserEmail, part))
}

fn by_path(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    filter
        .path
        .as_ref()
        .map_or(Ok(Selected::All), |part| words::containing(reader, Text::Path, part))
}

fn search_text(filter: &Filter, reader: Reader<'_>) -> Result<Selected> {
    filter.search.as_ref().map_or(Ok(Selected::All), |part| search::found(reader, part))
}
