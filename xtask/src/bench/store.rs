//! The store at ten million records, beside `SQLite`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::{goal, verdict::database};
use crate::process::{cargo, output, run};

/// Where both stores are while they are measured: some 8 GB.
const DIR: &str = "target/bench-store";
/// The parts of a run. What the page cache still has to write of one slows the next, so each
/// is written out before.
const PARTS: [&str; 5] = ["fill", "insert", "load", "ask", "together"];

pub(super) fn measure() -> Result<Value> {
    let program = build()?;
    remove()?;
    let end = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().to_string();
    let mut figures = Map::new();
    for part in PARTS {
        run(&mut Command::new("sync"))?;
        let mut bench = Command::new(&program);
        bench.args(["--dir", DIR, "--end", &end, "--database"]).arg(database()?).arg(part);
        for line in output(&mut bench)?.lines() {
            let Value::Object(mut line) = serde_json::from_str(line)? else { continue };
            let (Some(Value::String(name)), Some(value)) =
                (line.remove("figure"), line.remove("value"))
            else {
                continue;
            };
            println!("{}", told(&name, &value));
            figures.insert(name, value);
        }
    }
    remove()?;
    let goals = goals(&figures);
    figures.insert("goals".into(), goals);
    Ok(figures.into())
}

/// What is asked, and within how many milliseconds it is to be answered.
const WITHIN: [(&str, f64); 10] = [
    ("newest 50", 2.0),
    ("page 1,000 by cursor", 50.0),
    ("by source IP", 50.0),
    ("by CIDR", 50.0),
    ("by status failed", 50.0),
    ("by country and day", 50.0),
    ("by service", 50.0),
    ("search, rare", 300.0),
    ("search, common", 300.0),
    ("count and summary over 24 h", 200.0),
];

fn goals(figures: &Map<String, Value>) -> Value {
    let number = |name: &str, path: &str| -> f64 {
        let value = figures.get(name).and_then(|value| value.pointer(path));
        value.and_then(Value::as_f64).unwrap_or(f64::NAN)
    };
    let rate = number("weir write", "/records_a_second");
    let theirs = number("sqlite write", "/first");
    let mut goals = vec![
        goal("150,000 records a second, durable", rate >= 150_000.0),
        goal("more records a second than SQLite's first", rate > theirs),
        goal("under 60 bytes a record", number("weir write", "/bytes_a_record") < 60.0),
    ];
    for (name, within) in WITHIN {
        let (ours, theirs) = (number(name, "/weir/p50_ms"), number(name, "/sqlite/p50_ms"));
        goals.push(goal(&format!("{name}: within {within} ms"), ours <= within));
        goals.push(goal(&format!("{name}: before SQLite"), ours < theirs));
    }
    let together = "writing while 20 clients ask";
    let clean = ["/lost", "/errors"].iter().all(|path| number(together, path) == 0.0);
    goals.push(goal("no record lost and no error while 20 clients ask", clean));
    goals.into()
}

/// Fills a directory with so many records, for a Weir to be tried with.
pub(crate) fn fill(dir: &Path, records: u64) -> Result<()> {
    let end = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().to_string();
    let mut bench = Command::new(build()?);
    bench.arg("--dir").arg(dir).args(["--end", &end, "--records", &records.to_string()]);
    bench.arg("--database").arg(database()?).arg("fill");
    println!("{}", output(&mut bench)?);
    println!("data_dir = \"{}\" has them", dir.join("weir").display());
    Ok(())
}

fn build() -> Result<PathBuf> {
    run(cargo().args(["build", "--quiet", "--release", "--package=store-bench"]))?;
    fs::canonicalize("target/release/store-bench").context("the benchmark's program")
}

fn remove() -> Result<()> {
    match fs::remove_dir_all(DIR) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// A figure in a line.
fn told(name: &str, value: &Value) -> String {
    let times = |of: &Value| format!("{} ms ({} p99)", of["p50_ms"], of["p99_ms"]);
    if value["weir"].is_object() {
        let (weir, sqlite) = (times(&value["weir"]), times(&value["sqlite"]));
        return format!("{name:28} {:>9} match  Weir {weir}, SQLite {sqlite}", value["matching"]);
    }
    format!("{name:28} {value}")
}
