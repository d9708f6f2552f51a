//! Downloads.

use serde_json::Value;

use super::{samples, server::Server};
use crate::{api::export::COLUMNS, record::Verdict};

/// More than two batches.
const MANY: usize = 1203;

#[tokio::test]
async fn json_lines_hold_every_record_once_and_in_order() {
    let server = Server::start();
    let ids: Vec<String> = (0..MANY)
        .map(|_| server.memory.commit(samples::record("db", Verdict::Allowed)).to_string())
        .collect();
    server.memory.commit(samples::record("ssh", Verdict::Allowed));
    let answer = server.get("/api/events/proxy/export?service_id=db").await;
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let lines: Vec<Value> =
        answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let exported: Vec<&str> = lines.iter().map(|record| record["id"].as_str().unwrap()).collect();
    assert_eq!(exported, ids);
}

#[tokio::test]
async fn csv_has_every_field_in_its_column() {
    let server = Server::start();
    let id = server.memory.commit(samples::record("db", Verdict::Allowed));
    let record: Value = server.get(&format!("/api/events/proxy/{id}")).await.json();
    let answer = server.get("/api/events/proxy/export?format=CSV").await;
    let mut reader = csv::Reader::from_reader(answer.text().as_bytes());
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), COLUMNS);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1);
    let fields = record.as_object().unwrap();
    assert_eq!(fields.len(), COLUMNS.len(), "the sample has every field");
    for (name, value) in COLUMNS.iter().zip(&rows[0]) {
        let expected = fields[*name].as_str().map_or(fields[*name].to_string(), str::to_owned);
        assert_eq!(value, expected, "{name}");
    }
}

/// A client's own words must not run in who opens the file; JSON lines have them as they were.
#[tokio::test]
async fn csv_has_no_formulas() {
    let server = Server::start();
    let starts = ["=", "+", "-", "@", "\t", "\r", "\n"];
    for start in starts {
        let mut record = samples::record("db", Verdict::Allowed);
        let http = record.draft.http.as_mut().unwrap();
        http.user_agent = format!("{start}1+1").into();
        http.path = format!("/{start}1").into();
        server.memory.commit(record);
    }
    let csv = server.get("/api/events/proxy/export?format=csv").await;
    let mut reader = csv::Reader::from_reader(csv.text().as_bytes());
    let column = |name| COLUMNS.iter().position(|column| *column == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let jsonl = server.get("/api/events/proxy/export").await;
    assert_eq!((rows.len(), jsonl.text().lines().count()), (starts.len(), starts.len()));
    for ((row, line), start) in rows.iter().zip(jsonl.text().lines()).zip(starts) {
        assert_eq!(row[column("user_agent")], format!("'{start}1+1"));
        assert_eq!(row[column("path")], format!("/{start}1"));
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["user_agent"], format!("{start}1+1"));
    }
}

#[tokio::test]
async fn an_empty_export_is_empty_but_for_the_names() {
    let server = Server::start();
    assert_eq!(server.get("/api/events/proxy/export").await.text(), "");
    let csv = server.get("/api/events/proxy/export?format=csv").await;
    assert_eq!(csv.text().trim_end(), COLUMNS.join(","));
    server.get("/api/events/proxy/export?format=xml").await.error(400);
}

#[tokio::test]
async fn a_failure_before_the_first_record_is_a_status() {
    let server = Server::start();
    server.memory.commit(samples::record("db", Verdict::Allowed));
    *server.memory.broken.lock() = true;
    server.get("/api/events/proxy/export").await.error(500);
}
