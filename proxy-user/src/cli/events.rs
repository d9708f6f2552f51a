//! `weir events`

use std::io::{self, Write};

use anyhow::{Result, bail};
use serde_json::Value;

use super::{
    OK, Place,
    args::{Events, Format},
    client::query,
    table::{Table, bytes, duration},
};
use crate::{api::parse_query, store::Store};

pub(super) fn run(place: &Place, options: &Events) -> Result<u8> {
    let client = place.client();
    let pairs = options.filters.pairs();
    if options.follow {
        follow(&client, &pairs, options.format)?;
        return Ok(OK);
    }
    let size = options.page_size.to_string();
    let pairs: Vec<(&str, &str)> =
        pairs.into_iter().chain([("page_size", size.as_str())]).collect();
    let records: Vec<Value> = if client.is_answered() {
        let path = format!("/api/events/proxy{}", query(pairs));
        let page: Value = client.get(&path)?;
        page["data"].as_array().cloned().unwrap_or_default()
    } else {
        read_store(place, &pairs)?
    };
    show(&records, options.format)?;
    Ok(OK)
}

/// No daemon runs: the store itself.
fn read_store(place: &Place, pairs: &[(&str, &str)]) -> Result<Vec<Value>> {
    let Some(loaded) = place.load() else { bail!("the configuration is faulty") };
    eprintln!("no daemon runs; reading {}", loaded.config.data_dir.display());
    let query = parse_query(query(pairs.iter().copied()).trim_start_matches('?'))
        .map_err(anyhow::Error::msg)?;
    let store = Store::open_read_only(&loaded.config.data_dir)?;
    super::store::tell(&store.damaged());
    let page = store.query(&query)?;
    Ok(page.records.iter().map(serde_json::to_value).collect::<Result<_, _>>()?)
}

fn follow(client: &super::Client, pairs: &[(&str, &str)], format: Format) -> Result<()> {
    let path = format!("/api/events/proxy/stream{}", query(pairs.iter().copied()));
    let mut waiting = Vec::new();
    let mut first = true;
    client.stream(&path, |piece| {
        waiting.extend_from_slice(piece);
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            let record: Value = serde_json::from_slice(data.trim_ascii())?;
            show_one(&record, format, std::mem::take(&mut first))?;
        }
        Ok(true)
    })
}

fn show(records: &[Value], format: Format) -> Result<()> {
    match format {
        Format::Table => table(records).print()?,
        Format::Json => {
            let mut out = io::stdout().lock();
            for record in records {
                writeln!(out, "{record}")?;
            }
        }
        Format::Csv => csv(records, true)?,
    }
    Ok(())
}

fn show_one(record: &Value, format: Format, with_head: bool) -> Result<()> {
    let one = std::slice::from_ref(record);
    match format {
        Format::Table => {
            let text = table(one).render(None);
            let mut out = io::stdout().lock();
            for line in text.lines().skip(usize::from(!with_head)) {
                writeln!(out, "{line}")?;
            }
            out.flush()?;
        }
        Format::Json => show(one, format)?,
        Format::Csv => csv(one, with_head)?,
    }
    Ok(())
}

const HEAD: [&str; 10] =
    ["TIME", "VERDICT", "SERVICE", "SOURCE", "CC", "PORT", "DURATION", "UP", "DOWN", "WHY"];

fn table(records: &[Value]) -> Table {
    let mut table = Table::new(&HEAD);
    for record in records {
        let number = |name: &str| record[name].as_u64().unwrap_or(0);
        table.row([
            text(record, "timestamp").replace('T', " "),
            text(record, "verdict"),
            text(record, "service_id"),
            source(record),
            text(record, "country_code"),
            number("listen_port").to_string(),
            duration(number("duration_ms")),
            bytes(number("bytes_upload")),
            bytes(number("bytes_download")),
            why(record),
        ]);
    }
    table
}

fn text(record: &Value, name: &str) -> String {
    record[name].as_str().unwrap_or("").to_owned()
}

fn source(record: &Value) -> String {
    let address = text(record, "source_ip");
    match record["source_port"].as_u64() {
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address,
    }
}

/// Reason, end, and what else is noted.
fn why(record: &Value) -> String {
    let mut parts: Vec<String> = ["reason", "close_reason"]
        .iter()
        .map(|name| text(record, name))
        .filter(|part| !part.is_empty())
        .collect();
    let observed = text(record, "observed_reason");
    if !observed.is_empty() {
        parts.push(format!("observed {observed}"));
    }
    for (name, value) in record["metadata"].as_object().into_iter().flatten() {
        parts.push(format!("{name}={}", value.as_str().unwrap_or("")));
    }
    parts.join(" ")
}

const FIELDS: [&str; 18] = [
    "id",
    "timestamp",
    "started_at",
    "service_id",
    "protocol",
    "verdict",
    "host",
    "listen_port",
    "source_ip",
    "source_port",
    "country_code",
    "duration_ms",
    "bytes_upload",
    "bytes_download",
    "reason",
    "observed_reason",
    "close_reason",
    "target",
];

fn csv(records: &[Value], with_head: bool) -> Result<()> {
    let mut out = csv::Writer::from_writer(io::stdout().lock());
    if with_head {
        out.write_record(FIELDS)?;
    }
    for record in records {
        out.write_record(FIELDS.map(|field| match &record[field] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }))?;
    }
    out.flush()?;
    Ok(())
}
