//! What a summary counts, block by block: each value of a dictionary once, by how many rows
//! have it.

use proxy_common::{country::Country, reason::Reason};

use super::{
    Bucket, StoreError, Summary,
    block::{Code, Column, GROUP, Number, Packed, Reader, Text, timestamp},
    place::{at, place},
    quantiles::Histogram,
    select::{Selected, set},
    top::{Counts, Sources},
};
use crate::record::{KeyedMap, Protocol, Timestamp, Verdict};

/// Entries of a top list.
pub(super) const TOP: usize = 10;

pub(super) struct Counting {
    step_ms: i64,
    total: u64,
    suppressed: u64,
    /// By number of the bucket since the epoch.
    buckets: KeyedMap<i64, Tally>,
    sources: Sources,
    services: Counts,
    countries: Counts,
    reasons: Counts,
    classes: Counts,
}

#[derive(Default)]
struct Tally {
    bucket: Bucket,
    durations: Histogram,
}

impl Counting {
    pub(super) fn new(step_ms: i64) -> Self {
        Self {
            step_ms,
            total: 0,
            suppressed: 0,
            buckets: KeyedMap::default(),
            sources: Sources::of(0, 1),
            services: Counts::default(),
            countries: Counts::default(),
            reasons: Counts::default(),
            classes: Counts::default(),
        }
    }

    /// Counts the selected rows of a block.
    pub(super) fn add(
        &mut self,
        reader: Reader<'_>,
        selected: &Selected,
    ) -> Result<(), StoreError> {
        self.total += selected.count(reader.rows()) as u64;
        self.add_times(reader, selected)?;
        self.sources.add(reader, selected)?;
        let services = reader.texts(Text::Service)?;
        let service = |code| Some(String::from_utf8_lossy(services.get(code)?).into_owned());
        self.services.add(&tally(reader, selected, Column::Text(Text::Service))?, service);
        let countries = reader.values(Code::Country)?;
        self.countries.add(&tally(reader, selected, Column::Code(Code::Country))?, |code| {
            Some(country(*countries.get(code)?))
        });
        let reasons = reader.values(Code::Reason)?;
        let reason = |code: usize| {
            let number = reasons.get(code).and_then(|number| u8::try_from(*number).ok());
            number.and_then(Reason::from_number)
        };
        self.reasons.add(&tally(reader, selected, Column::Code(Code::Reason))?, |code| {
            reason(code).map(|reason| reason.as_str().to_owned())
        });
        self.add_classes(reader, selected)?;
        self.add_suppressed(reader, selected)
    }

    /// What lies in time: row by row.
    fn add_times(&mut self, reader: Reader<'_>, selected: &Selected) -> Result<(), StoreError> {
        let rows = Timed::of(reader)?;
        let [mut logged, mut duration, mut up, mut down] = [[0; GROUP]; 4];
        let [mut verdict, mut protocol] = [[0; GROUP]; 2];
        let mut begin = i64::MIN;
        let mut tally = &mut Tally::default();
        for group in 0..rows.logged.groups() {
            let bits = selected.group(group, reader.rows());
            if bits.iter().all(|word| *word == 0) {
                continue;
            }
            rows.logged.group(group, &mut logged);
            rows.duration.group(group, &mut duration);
            rows.up.group(group, &mut up);
            rows.down.group(group, &mut down);
            rows.verdict.codes(group, &mut verdict);
            rows.protocol.codes(group, &mut protocol);
            for row in set(bits) {
                let time = timestamp(logged[row]).0;
                if !(begin..begin.saturating_add(self.step_ms)).contains(&time) {
                    let number = time.div_euclid(self.step_ms);
                    begin = number * self.step_ms;
                    tally = self.buckets.entry(number).or_default();
                }
                let verdict = rows.verdicts.get(verdict[row] as usize).copied().flatten();
                let bucket = &mut tally.bucket;
                if let Some(verdict) = verdict {
                    match rows.protocols.get(protocol[row] as usize) {
                        Some(true) => bucket.requests.add(verdict),
                        _ => bucket.connections.add(verdict),
                    }
                    if verdict != Verdict::Denied {
                        tally.durations.add(duration[row]);
                    }
                }
                bucket.bytes_upload = bucket.bytes_upload.saturating_add(up[row]);
                bucket.bytes_download = bucket.bytes_download.saturating_add(down[row]);
            }
        }
        Ok(())
    }

    /// Requests by the class of their status (RFC 9110, 15).
    fn add_classes(&mut self, reader: Reader<'_>, selected: &Selected) -> Result<(), StoreError> {
        let statuses = reader.values(Code::Status)?;
        let counts = tally(reader, selected, Column::Code(Code::Status))?;
        // A status of 0 is that of requests without an answer, and of what is no request.
        let methods = reader.values(Code::AuthMethod)?;
        let by_method = tally(reader, selected, Column::Code(Code::AuthMethod))?;
        let none = methods.iter().position(|method| *method == 0);
        let others = none.and_then(|at| by_method.get(at)).copied().unwrap_or(0);
        let class = |status: u64| match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "none",
        };
        for (status, count) in statuses.iter().zip(counts) {
            let count = if *status == 0 { count.saturating_sub(others) } else { count };
            self.classes.count(class(*status).to_owned(), count);
        }
        Ok(())
    }

    fn add_suppressed(
        &mut self,
        reader: Reader<'_>,
        selected: &Selected,
    ) -> Result<(), StoreError> {
        let metadata = reader.texts(Text::Metadata)?;
        let suppressed: Vec<u64> = metadata.iter().map(suppressed).collect();
        if suppressed.iter().any(|count| *count > 0) {
            let counts = tally(reader, selected, Column::Text(Text::Metadata))?;
            self.suppressed += counts.iter().zip(&suppressed).map(|(a, b)| a * b).sum::<u64>();
        }
        Ok(())
    }

    /// Without top sources where there were too many for one look.
    pub(super) fn into_summary(self) -> Summary {
        let mut summary = Summary {
            total_records: self.total,
            suppressed: self.suppressed,
            step_ms: self.step_ms,
            top_sources: self.sources.into_top(TOP).unwrap_or_default(),
            top_services: self.services.into_top(TOP),
            top_countries: self.countries.into_top(usize::MAX),
            top_reasons: self.reasons.into_top(usize::MAX),
            status_classes: self.classes.into_top(usize::MAX),
            ..Summary::default()
        };
        let mut durations = Histogram::default();
        let mut buckets: Vec<(i64, Tally)> = self.buckets.into_iter().collect();
        buckets.sort_by_key(|(number, _)| *number);
        for (number, Tally { mut bucket, durations: own }) in buckets {
            summary.bytes_upload = summary.bytes_upload.saturating_add(bucket.bytes_upload);
            summary.bytes_download = summary.bytes_download.saturating_add(bucket.bytes_download);
            durations.merge(&own);
            bucket.start = Timestamp(number * self.step_ms).to_string();
            bucket.durations = own.quantiles();
            summary.series.push(bucket);
        }
        summary.durations = durations.quantiles();
        summary
    }
}

/// The columns that lie in time.
struct Timed {
    logged: Packed,
    duration: Packed,
    up: Packed,
    down: Packed,
    verdict: Packed,
    /// By place in the dictionary.
    verdicts: Vec<Option<Verdict>>,
    protocol: Packed,
    /// Whether it is HTTP, by place in the dictionary.
    protocols: Vec<bool>,
}

impl Timed {
    fn of(reader: Reader<'_>) -> Result<Self, StoreError> {
        let http = u64::from(place(&Protocol::ALL, &Protocol::Http));
        let verdict = |number: &u64| at(&Verdict::ALL, u8::try_from(*number).ok()?);
        Ok(Self {
            logged: reader.number(Number::Timestamp)?,
            duration: reader.number(Number::Duration)?,
            up: reader.number(Number::BytesUpload)?,
            down: reader.number(Number::BytesDownload)?,
            verdict: reader.packed(Column::Code(Code::Verdict))?,
            verdicts: reader.values(Code::Verdict)?.iter().map(verdict).collect(),
            protocol: reader.packed(Column::Code(Code::Protocol))?,
            protocols: reader
                .values(Code::Protocol)?
                .iter()
                .map(|number| *number == http)
                .collect(),
        })
    }
}

/// How many selected rows have each place of a dictionary.
pub(super) fn tally(
    reader: Reader<'_>,
    selected: &Selected,
    column: Column,
) -> Result<Vec<u64>, StoreError> {
    let codes = reader.packed(column)?;
    let mut counts: Vec<u64> = Vec::new();
    if let Some(code) = codes.constant() {
        // Places of a dictionary are fewer than rows.
        let code = usize::try_from(code).unwrap_or(usize::MAX).min(codes.len);
        counts.resize(code, 0);
        counts.push(selected.count(codes.len) as u64);
        return Ok(counts);
    }
    counts.resize(codes.len, 0);
    let mut group = [0; GROUP];
    for place in 0..codes.groups() {
        let bits = selected.group(place, codes.len);
        if bits.iter().all(|word| *word == 0) {
            continue;
        }
        codes.codes(place, &mut group);
        for row in set(bits) {
            if let Some(count) = counts.get_mut(group[row] as usize) {
                *count += 1;
            }
        }
    }
    Ok(counts)
}

fn country(stored: u64) -> String {
    let country =
        stored.checked_sub(1).and_then(|number| Country::from_number(u16::try_from(number).ok()?));
    country.map_or_else(String::new, |country| country.to_string())
}

fn suppressed(metadata: &[u8]) -> u64 {
    if metadata.is_empty() {
        return 0;
    }
    let metadata = postcard::from_bytes::<std::collections::BTreeMap<&str, &str>>(metadata);
    let count = metadata.ok().and_then(|metadata| metadata.get("suppressed")?.parse().ok());
    count.unwrap_or(0)
}
