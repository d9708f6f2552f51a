//! `weir events`

use anyhow::Result;
use serde_json::Value;

use super::{
    OK, Place, Wrong,
    args::{Events, Format},
    client::query,
    out::{say, tell, write},
    table::{Table, bytes, duration},
};
use crate::{
    api::{csv_head, csv_lines, parse_query},
    store::Store,
};

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
    let records: Vec<Value> = if client.finds_daemon()? {
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
    let query = parse_query(query(pairs.iter().copied()).trim_start_matches('?')).map_err(Wrong)?;
    let data_dir = place.load()?.config.data_dir;
    tell(format_args!("no daemon runs; reading {}", data_dir.display()));
    let store = Store::open_read_only(&data_dir)?;
    super::store::tell_damage(&store.damaged());
    let page = store.query(&query)?;
    Ok(page.records.iter().map(serde_json::to_value).collect::<Result<_, _>>()?)
}

fn follow(client: &super::Client, pairs: &[(&str, &str)], format: Format) -> Result<()> {
    let path = format!("/api/events/proxy/stream{}", query(pairs.iter().copied()));
    let mut waiting = Vec::new();
    write(head(format).as_bytes())?;
    client.stream(&path, |piece| {
        waiting.extend_from_slice(piece);
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let sent: Vec<u8> = waiting.drain(..=end).collect();
            let Some(data) = sent.strip_prefix(b"data:") else { continue };
            let record: Value = serde_json::from_slice(data.trim_ascii())?;
            write(&line(&record, format)?)?;
        }
        Ok(true)
    })
}

fn show(records: &[Value], format: Format) -> Result<()> {
    match format {
        Format::Table => {
            let mut table = Table::new(&HEAD);
            for record in records {
                table.row(row(record));
            }
            table.print()
        }
        Format::Json => records.iter().try_for_each(say),
        Format::Csv => write(&[csv_head().into_bytes(), csv_lines(records)?].concat()),
    }
}

/// What stands before records that are shown one by one.
fn head(format: Format) -> String {
    match format {
        Format::Table => aligned(&HEAD.map(str::to_owned)),
        Format::Json => String::new(),
        Format::Csv => csv_head(),
    }
}

fn line(record: &Value, format: Format) -> Result<Vec<u8>> {
    Ok(match format {
        Format::Table => aligned(&row(record)).into(),
        Format::Json => format!("{record}\n").into(),
        Format::Csv => csv_lines(std::slice::from_ref(record))?,
    })
}

const HEAD: [&str; 10] =
    ["TIME", "VERDICT", "SERVICE", "SOURCE", "CC", "PORT", "DURATION", "UP", "DOWN", "WHAT"];

/// Widths that hold what is usual: who follows does not know what is to come.
const WIDTHS: [usize; 10] = [24, 7, 12, 21, 2, 5, 8, 10, 10, 0];

fn aligned(cells: &[String; 10]) -> String {
    let cells: Vec<String> =
        cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:width$}")).collect();
    format!("{}\n", cells.join("  ").trim_end())
}

fn row(record: &Value) -> [String; 10] {
    let number = |name: &str| record[name].as_u64().unwrap_or(0);
    [
        text(record, "timestamp").replace('T', " "),
        text(record, "verdict"),
        text(record, "service_id"),
        source(record),
        text(record, "country_code"),
        number("listen_port").to_string(),
        duration(number("duration_ms")),
        bytes(number("bytes_upload")),
        bytes(number("bytes_download")),
        what(record),
    ]
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

/// The request, reason, end, and what else is noted.
fn what(record: &Value) -> String {
    let told = ["reason", "close_reason"].map(|name| text(record, name));
    let told = std::iter::once(request(record)).chain(told);
    let mut parts: Vec<String> = told.filter(|part| !part.is_empty()).collect();
    for name in ["user_email", "user_id"] {
        if let Some(user) = record[name].as_str() {
            parts.push(format!("user={user}"));
            break;
        }
    }
    let observed = text(record, "observed_reason");
    if !observed.is_empty() {
        parts.push(format!("observed {observed}"));
    }
    for (name, value) in record["metadata"].as_object().into_iter().flatten() {
        parts.push(format!("{name}={}", value.as_str().unwrap_or("")));
    }
    parts.join(" ")
}

/// Status, method and place of a request; nothing of other records.
fn request(record: &Value) -> String {
    if record["request_id"].is_null() {
        return String::new();
    }
    let status = match record["status_code"].as_u64() {
        None | Some(0) => "-".to_owned(),
        Some(status) => status.to_string(),
    };
    format!("{status} {} {}", text(record, "method"), text(record, "url"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_are_followed_line_up() {
        let record = |service: &str, port: u16| {
            serde_json::json!({
                "timestamp": "2026-11-24T00:10:53.623Z", "verdict": "denied",
                "service_id": service, "source_ip": "203.0.113.7", "source_port": port,
                "listen_port": port, "duration_ms": 5, "reason": "ip_restricted",
            })
        };
        let head = head(Format::Table);
        let column = |text: &str| text.find("0 B").or(text.find("UP")).expect("a column");
        for record in [record("db", 1), record("twelve-chars", 65_535)] {
            let line = line(&record, Format::Table).expect("a line");
            let line = String::from_utf8(line).expect("text");
            assert_eq!(column(&line), column(&head), "{head}{line}");
        }
    }
    #[test]
    fn a_request_is_told_by_its_status_method_and_place() {
        let request = serde_json::json!({
            "request_id": "00000000-0000-0000-0000-000000000007", "protocol": "http",
            "method": "GET", "url": "wiki.example.com/a", "status_code": 403,
            "reason": "sso_denied", "user_id": "u-17", "user_email": "ann@example.com",
        });
        assert_eq!(what(&request), "403 GET wiki.example.com/a sso_denied user=ann@example.com");
        let aborted = serde_json::json!({
            "request_id": "00000000-0000-0000-0000-000000000008",
            "method": "POST", "url": "wiki.example.com/b", "status_code": 0,
        });
        assert_eq!(what(&aborted), "- POST wiki.example.com/b");
        let connection = serde_json::json!({
            "protocol": "tcp", "method": "TCP", "url": "db:5432", "status_code": 0,
            "close_reason": "client_closed", "metadata": { "hook": "relay" },
        });
        assert_eq!(what(&connection), "client_closed hook=relay");
    }
}
