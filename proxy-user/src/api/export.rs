//! Records as JSON lines and as CSV.

use axum::{body::Bytes, http::StatusCode};

use super::error::ApiError;
use crate::record::Record;

/// The columns of CSV: the fields of records, in their order.
pub(super) const COLUMNS: [&str; 34] = [
    "id",
    "service_id",
    "timestamp",
    "started_at",
    "protocol",
    "verdict",
    "method",
    "host",
    "path",
    "url",
    "listen_port",
    "status_code",
    "duration_ms",
    "bytes_upload",
    "bytes_download",
    "packets_upload",
    "packets_download",
    "source_ip",
    "source_port",
    "country_code",
    "city_name",
    "subdivision_code",
    "reason",
    "observed_reason",
    "close_reason",
    "target",
    "tls_version",
    "request_id",
    "auth_method_used",
    "user_id",
    "user_email",
    "http_version",
    "user_agent",
    "metadata",
];

/// How spreadsheets tell a formula, also after white space that they skip.
const FORMULA_STARTS: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// What an export is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// A record's JSON on each line.
    #[default]
    Jsonl,
    /// RFC 4180 with a line of names; `metadata` is JSON; what is absent is empty; text that
    /// a spreadsheet would take for a formula begins with `'`.
    Csv,
}

impl Format {
    /// Every format, with its name in a query.
    pub(super) const ALL: [(Self, &'static str); 2] = [(Self::Jsonl, "jsonl"), (Self::Csv, "csv")];

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    pub(super) const fn content_disposition(self) -> &'static str {
        match self {
            Self::Jsonl => "attachment; filename=\"weir-events.jsonl\"",
            Self::Csv => "attachment; filename=\"weir-events.csv\"",
        }
    }

    /// What comes before the first record.
    pub(super) fn head(self) -> Bytes {
        match self {
            Self::Jsonl => Bytes::new(),
            Self::Csv => csv_head().into(),
        }
    }

    /// Records, whole lines.
    pub(super) fn encode(self, records: &[Record]) -> Result<Bytes, ApiError> {
        let encoded = match self {
            Self::Jsonl => json_lines(records).map_err(|error| error.to_string()),
            Self::Csv => csv_of(records).map_err(|error| error.to_string()),
        };
        encoded.map(Bytes::from).map_err(|error| {
            tracing::error!(%error, "records could not be encoded");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "records could not be encoded")
        })
    }
}

fn json_lines(records: &[Record]) -> Result<Vec<u8>, serde_json::Error> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn csv_of(records: &[Record]) -> Result<Vec<u8>, csv::Error> {
    let json: Result<Vec<_>, _> = records.iter().map(serde_json::to_value).collect();
    csv_lines(&json.map_err(std::io::Error::from)?)
}

/// The line of names that a CSV of records begins with.
pub fn csv_head() -> String {
    COLUMNS.join(",") + "\r\n"
}

/// Records as lines of CSV, from their JSON, so that both formats always agree.
pub fn csv_lines(records: &[serde_json::Value]) -> Result<Vec<u8>, csv::Error> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for record in records {
        writer.write_record(
            COLUMNS.map(|column| record.get(column).map_or_else(String::new, cell)),
        )?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn cell(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), no_formula)
}

/// Clients choose much of a record, and spreadsheets run a cell that begins like a formula:
/// a quotation mark before it makes it text.
fn no_formula(text: &str) -> String {
    if text.starts_with(FORMULA_STARTS) { format!("'{text}") } else { text.to_owned() }
}
